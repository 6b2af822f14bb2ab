package ratchet.types;

/**
 * The command `capture`, about the payment `id`.
 */
public class CaptureRecord {
    private Capture body;
    private String client;
    private String command;
    private String id;

    public Capture getBody() { return body; }
    public void setBody(Capture value) { this.body = value; }

    public String getClient() { return client; }
    public void setClient(String value) { this.client = value; }

    public String getCommand() { return command; }
    public void setCommand(String value) { this.command = value; }

    public String getID() { return id; }
    public void setID(String value) { this.id = value; }
}
