package ratchet.types;

import java.io.IOException;

/**
 * Where a payment stands; derived from its facts, never moved.
 */
public enum Status {
    AUTHORIZED, CANCELED, CAPTURED, CREATED, EXPIRED, FAILED, PARTIALLY_CAPTURED, PROCESSING, REQUIRES_ACTION;

    @com.fasterxml.jackson.annotation.JsonValue
    public String toValue() {
        switch (this) {
            case AUTHORIZED: return "authorized";
            case CANCELED: return "canceled";
            case CAPTURED: return "captured";
            case CREATED: return "created";
            case EXPIRED: return "expired";
            case FAILED: return "failed";
            case PARTIALLY_CAPTURED: return "partially_captured";
            case PROCESSING: return "processing";
            case REQUIRES_ACTION: return "requires_action";
        }
        return null;
    }

    public static Status forValue(String value) throws IOException {
        if (value.equals("authorized")) return AUTHORIZED;
        if (value.equals("canceled")) return CANCELED;
        if (value.equals("captured")) return CAPTURED;
        if (value.equals("created")) return CREATED;
        if (value.equals("expired")) return EXPIRED;
        if (value.equals("failed")) return FAILED;
        if (value.equals("partially_captured")) return PARTIALLY_CAPTURED;
        if (value.equals("processing")) return PROCESSING;
        if (value.equals("requires_action")) return REQUIRES_ACTION;
        throw new IOException("Cannot deserialize Status");
    }
}
