package ratchet.types;

/**
 * The command `refund`, about the payment `id`.
 */
public class RefundRecord {
    private Refund body;
    private String client;
    private String command;
    private String id;

    public Refund getBody() { return body; }
    public void setBody(Refund value) { this.body = value; }

    public String getClient() { return client; }
    public void setClient(String value) { this.client = value; }

    public String getCommand() { return command; }
    public void setCommand(String value) { this.command = value; }

    public String getID() { return id; }
    public void setID(String value) { this.id = value; }
}
