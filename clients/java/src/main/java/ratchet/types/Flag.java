package ratchet.types;

import java.io.IOException;

/**
 * What of a payment does not add up, derived from its facts; it goes when the missing fact
 * comes.
 */
public enum Flag {
    AMOUNT_DIFFERS, CONTRADICTION, OTHER_CURRENCY, OVER_CAPTURED, OVER_REFUNDED, PAID_AGAIN, UNDERPAID;

    @com.fasterxml.jackson.annotation.JsonValue
    public String toValue() {
        switch (this) {
            case AMOUNT_DIFFERS: return "amount_differs";
            case CONTRADICTION: return "contradiction";
            case OTHER_CURRENCY: return "other_currency";
            case OVER_CAPTURED: return "over_captured";
            case OVER_REFUNDED: return "over_refunded";
            case PAID_AGAIN: return "paid_again";
            case UNDERPAID: return "underpaid";
        }
        return null;
    }

    public static Flag forValue(String value) throws IOException {
        if (value.equals("amount_differs")) return AMOUNT_DIFFERS;
        if (value.equals("contradiction")) return CONTRADICTION;
        if (value.equals("other_currency")) return OTHER_CURRENCY;
        if (value.equals("over_captured")) return OVER_CAPTURED;
        if (value.equals("over_refunded")) return OVER_REFUNDED;
        if (value.equals("paid_again")) return PAID_AGAIN;
        if (value.equals("underpaid")) return UNDERPAID;
        throw new IOException("Cannot deserialize Flag");
    }
}
