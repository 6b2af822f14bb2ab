package ratchet.types;

/**
 * One capture or refund, of `amount`; `id` names it, so that a second one is distinguished
 * from a copy.
 */
public class MoneyMoved {
    private long amount;
    private String currency;
    private String id;
    private Boolean livemode;
    private String paymentID;
    private String reference;

    public long getAmount() { return amount; }
    public void setAmount(long value) { this.amount = value; }

    public String getCurrency() { return currency; }
    public void setCurrency(String value) { this.currency = value; }

    public String getID() { return id; }
    public void setID(String value) { this.id = value; }

    public Boolean getLivemode() { return livemode; }
    public void setLivemode(Boolean value) { this.livemode = value; }

    public String getPaymentID() { return paymentID; }
    public void setPaymentID(String value) { this.paymentID = value; }

    public String getReference() { return reference; }
    public void setReference(String value) { this.reference = value; }
}
