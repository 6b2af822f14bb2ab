package ratchet.types;

import java.util.Map;

/**
 * Give captured money back: the body of `refund`. `amount` and `attempt_id` are as in a
 * capture.
 */
public class Refund {
    private Long amount;
    private String attemptID;
    private String currency;
    private Map<String, Object> metadata;
    private String reason;

    public Long getAmount() { return amount; }
    public void setAmount(Long value) { this.amount = value; }

    public String getAttemptID() { return attemptID; }
    public void setAttemptID(String value) { this.attemptID = value; }

    public String getCurrency() { return currency; }
    public void setCurrency(String value) { this.currency = value; }

    public Map<String, Object> getMetadata() { return metadata; }
    public void setMetadata(Map<String, Object> value) { this.metadata = value; }

    public String getReason() { return reason; }
    public void setReason(String value) { this.reason = value; }
}
