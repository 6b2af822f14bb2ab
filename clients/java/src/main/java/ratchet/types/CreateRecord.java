package ratchet.types;

/**
 * The command `create`, about the payment `id`.
 */
public class CreateRecord {
    private Intent body;
    private String client;
    private String command;
    private String id;

    public Intent getBody() { return body; }
    public void setBody(Intent value) { this.body = value; }

    public String getClient() { return client; }
    public void setClient(String value) { this.client = value; }

    public String getCommand() { return command; }
    public void setCommand(String value) { this.command = value; }

    public String getID() { return id; }
    public void setID(String value) { this.id = value; }
}
