package ratchet.types;

import java.io.IOException;

/**
 * How much of the captured money went back.
 */
public enum RefundStatus {
    FULL, NONE, PARTIAL, PENDING;

    @com.fasterxml.jackson.annotation.JsonValue
    public String toValue() {
        switch (this) {
            case FULL: return "full";
            case NONE: return "none";
            case PARTIAL: return "partial";
            case PENDING: return "pending";
        }
        return null;
    }

    public static RefundStatus forValue(String value) throws IOException {
        if (value.equals("full")) return FULL;
        if (value.equals("none")) return NONE;
        if (value.equals("partial")) return PARTIAL;
        if (value.equals("pending")) return PENDING;
        throw new IOException("Cannot deserialize RefundStatus");
    }
}
