package ratchet.types;

import java.io.IOException;

/**
 * Where that dispute of the payment stands that needs somebody first.
 */
public enum DisputeStatus {
    INQUIRY, LOST, NONE, OPEN, PREVENTED, UNDER_REVIEW, WON;

    @com.fasterxml.jackson.annotation.JsonValue
    public String toValue() {
        switch (this) {
            case INQUIRY: return "inquiry";
            case LOST: return "lost";
            case NONE: return "none";
            case OPEN: return "open";
            case PREVENTED: return "prevented";
            case UNDER_REVIEW: return "under_review";
            case WON: return "won";
        }
        return null;
    }

    public static DisputeStatus forValue(String value) throws IOException {
        if (value.equals("inquiry")) return INQUIRY;
        if (value.equals("lost")) return LOST;
        if (value.equals("none")) return NONE;
        if (value.equals("open")) return OPEN;
        if (value.equals("prevented")) return PREVENTED;
        if (value.equals("under_review")) return UNDER_REVIEW;
        if (value.equals("won")) return WON;
        throw new IOException("Cannot deserialize DisputeStatus");
    }
}
