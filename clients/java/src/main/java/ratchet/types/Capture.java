package ratchet.types;

import java.util.Map;

/**
 * Take authorized money: the body of `capture`. No `amount`: all that is left.
 *
 * `attempt_id` names which of the payment's attempts is meant; it is needed where several
 * have room.
 */
public class Capture {
    private Long amount;
    private String attemptID;
    private String currency;
    private Map<String, Object> metadata;

    public Long getAmount() { return amount; }
    public void setAmount(Long value) { this.amount = value; }

    public String getAttemptID() { return attemptID; }
    public void setAttemptID(String value) { this.attemptID = value; }

    public String getCurrency() { return currency; }
    public void setCurrency(String value) { this.currency = value; }

    public Map<String, Object> getMetadata() { return metadata; }
    public void setMetadata(Map<String, Object> value) { this.metadata = value; }
}
