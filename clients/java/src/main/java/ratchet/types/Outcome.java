package ratchet.types;

import java.io.IOException;

/**
 * What one event did to its payment; the ledger's column.
 */
public enum Outcome {
    APPLIED, CONFLICT, LATE, NOOP;

    @com.fasterxml.jackson.annotation.JsonValue
    public String toValue() {
        switch (this) {
            case APPLIED: return "applied";
            case CONFLICT: return "conflict";
            case LATE: return "late";
            case NOOP: return "noop";
        }
        return null;
    }

    public static Outcome forValue(String value) throws IOException {
        if (value.equals("applied")) return APPLIED;
        if (value.equals("conflict")) return CONFLICT;
        if (value.equals("late")) return LATE;
        if (value.equals("noop")) return NOOP;
        throw new IOException("Cannot deserialize Outcome");
    }
}
