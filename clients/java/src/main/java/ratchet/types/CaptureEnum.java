package ratchet.types;

import java.io.IOException;

public enum CaptureEnum {
    AUTOMATIC, MANUAL;

    @com.fasterxml.jackson.annotation.JsonValue
    public String toValue() {
        switch (this) {
            case AUTOMATIC: return "automatic";
            case MANUAL: return "manual";
        }
        return null;
    }

    public static CaptureEnum forValue(String value) throws IOException {
        if (value.equals("automatic")) return AUTOMATIC;
        if (value.equals("manual")) return MANUAL;
        throw new IOException("Cannot deserialize CaptureEnum");
    }
}
