package ratchet.types;

/**
 * `amount` is reserved, in all: a second one with more raises it.
 */
public class MoneyHeld {
    private long amount;
    private String currency;
    private Boolean livemode;
    private String paymentID;
    private String reference;

    public long getAmount() { return amount; }
    public void setAmount(long value) { this.amount = value; }

    public String getCurrency() { return currency; }
    public void setCurrency(String value) { this.currency = value; }

    public Boolean getLivemode() { return livemode; }
    public void setLivemode(Boolean value) { this.livemode = value; }

    public String getPaymentID() { return paymentID; }
    public void setPaymentID(String value) { this.paymentID = value; }

    public String getReference() { return reference; }
    public void setReference(String value) { this.reference = value; }
}
