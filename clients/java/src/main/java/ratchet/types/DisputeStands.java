package ratchet.types;

/**
 * Where the dispute `id` stands.
 */
public class DisputeStands {
    private String id;
    private Boolean livemode;
    private String paymentID;
    private String reference;

    public String getID() { return id; }
    public void setID(String value) { this.id = value; }

    public Boolean getLivemode() { return livemode; }
    public void setLivemode(Boolean value) { this.livemode = value; }

    public String getPaymentID() { return paymentID; }
    public void setPaymentID(String value) { this.paymentID = value; }

    public String getReference() { return reference; }
    public void setReference(String value) { this.reference = value; }
}
