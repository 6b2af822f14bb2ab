package ratchet.types;

import java.util.Map;

/**
 * Give an authorization up: the body of `cancel`. `attempt_id` is as in a capture.
 */
public class Cancel {
    private String attemptID;
    private Map<String, Object> metadata;
    private String reason;

    public String getAttemptID() { return attemptID; }
    public void setAttemptID(String value) { this.attemptID = value; }

    public Map<String, Object> getMetadata() { return metadata; }
    public void setMetadata(Map<String, Object> value) { this.metadata = value; }

    public String getReason() { return reason; }
    public void setReason(String value) { this.reason = value; }
}
