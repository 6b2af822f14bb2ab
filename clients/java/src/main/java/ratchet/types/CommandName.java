package ratchet.types;

import java.io.IOException;

public enum CommandName {
    CANCEL, CAPTURE, REFUND;

    @com.fasterxml.jackson.annotation.JsonValue
    public String toValue() {
        switch (this) {
            case CANCEL: return "cancel";
            case CAPTURE: return "capture";
            case REFUND: return "refund";
        }
        return null;
    }

    public static CommandName forValue(String value) throws IOException {
        if (value.equals("cancel")) return CANCEL;
        if (value.equals("capture")) return CAPTURE;
        if (value.equals("refund")) return REFUND;
        throw new IOException("Cannot deserialize CommandName");
    }
}
