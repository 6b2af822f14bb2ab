package ratchet.types;

/**
 * The command won't be carried out, for this reason; the money that it asked for is free
 * again.
 */
public class CommandRefused {
    private String commandID;
    private String id;
    private String reason;

    public String getCommandID() { return commandID; }
    public void setCommandID(String value) { this.commandID = value; }

    public String getID() { return id; }
    public void setID(String value) { this.id = value; }

    public String getReason() { return reason; }
    public void setReason(String value) { this.reason = value; }
}
