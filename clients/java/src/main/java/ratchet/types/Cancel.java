package ratchet.types;

import java.util.Map;

/**
 * Give an authorization up: the body of `cancel`.
 */
public class Cancel {
    private Map<String, Object> metadata;
    private String reason;

    public Map<String, Object> getMetadata() { return metadata; }
    public void setMetadata(Map<String, Object> value) { this.metadata = value; }

    public String getReason() { return reason; }
    public void setReason(String value) { this.reason = value; }
}
