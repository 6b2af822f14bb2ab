package ratchet.types;

/**
 * What became of a command. `id` is the payment's id and `command_id` the command's
 * `ce_id`, as it had them.
 */
public class CommandAnswered {
    private String commandID;
    private String id;

    public String getCommandID() { return commandID; }
    public void setCommandID(String value) { this.commandID = value; }

    public String getID() { return id; }
    public void setID(String value) { this.id = value; }
}
