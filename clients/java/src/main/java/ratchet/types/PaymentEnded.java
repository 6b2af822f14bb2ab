package ratchet.types;

/**
 * The payment was ended: what is held for it is free.
 */
public class PaymentEnded {
    private Boolean livemode;
    private String paymentID;
    private String reference;

    public Boolean getLivemode() { return livemode; }
    public void setLivemode(Boolean value) { this.livemode = value; }

    public String getPaymentID() { return paymentID; }
    public void setPaymentID(String value) { this.paymentID = value; }

    public String getReference() { return reference; }
    public void setReference(String value) { this.reference = value; }
}
