package ratchet.types;

import java.util.List;
import java.util.Map;

/**
 * The JSON value of a record of `payments.state`: how a payment stands at its newest
 * version.
 *
 * The topic keeps the newest record of each payment, by key. A payment that turned out to
 * be another one stays, with
 * `merged_into`; nothing is ever removed.
 */
public class State {
    private String account;
    private long amount;
    private long authorized;
    private long captured;
    private String client;
    private String createdAt;
    private String currency;
    private DisputeStatus disputeStatus;
    private long disputed;
    private long epoch;
    private List<Flag> flags;
    private String intentID;
    private boolean livemode;
    private String merchantAccount;
    private String mergedInto;
    private Map<String, Object> metadata;
    private String paymentID;
    private String provider;
    private String providerRef;
    private String reference;
    private RefundStatus refundStatus;
    private long refunded;
    private Status status;
    private long version;

    public String getAccount() { return account; }
    public void setAccount(String value) { this.account = value; }

    public long getAmount() { return amount; }
    public void setAmount(long value) { this.amount = value; }

    public long getAuthorized() { return authorized; }
    public void setAuthorized(long value) { this.authorized = value; }

    public long getCaptured() { return captured; }
    public void setCaptured(long value) { this.captured = value; }

    public String getClient() { return client; }
    public void setClient(String value) { this.client = value; }

    public String getCreatedAt() { return createdAt; }
    public void setCreatedAt(String value) { this.createdAt = value; }

    public String getCurrency() { return currency; }
    public void setCurrency(String value) { this.currency = value; }

    public DisputeStatus getDisputeStatus() { return disputeStatus; }
    public void setDisputeStatus(DisputeStatus value) { this.disputeStatus = value; }

    public long getDisputed() { return disputed; }
    public void setDisputed(long value) { this.disputed = value; }

    public long getEpoch() { return epoch; }
    public void setEpoch(long value) { this.epoch = value; }

    public List<Flag> getFlags() { return flags; }
    public void setFlags(List<Flag> value) { this.flags = value; }

    public String getIntentID() { return intentID; }
    public void setIntentID(String value) { this.intentID = value; }

    public boolean getLivemode() { return livemode; }
    public void setLivemode(boolean value) { this.livemode = value; }

    public String getMerchantAccount() { return merchantAccount; }
    public void setMerchantAccount(String value) { this.merchantAccount = value; }

    public String getMergedInto() { return mergedInto; }
    public void setMergedInto(String value) { this.mergedInto = value; }

    public Map<String, Object> getMetadata() { return metadata; }
    public void setMetadata(Map<String, Object> value) { this.metadata = value; }

    public String getPaymentID() { return paymentID; }
    public void setPaymentID(String value) { this.paymentID = value; }

    public String getProvider() { return provider; }
    public void setProvider(String value) { this.provider = value; }

    public String getProviderRef() { return providerRef; }
    public void setProviderRef(String value) { this.providerRef = value; }

    public String getReference() { return reference; }
    public void setReference(String value) { this.reference = value; }

    public RefundStatus getRefundStatus() { return refundStatus; }
    public void setRefundStatus(RefundStatus value) { this.refundStatus = value; }

    public long getRefunded() { return refunded; }
    public void setRefunded(long value) { this.refunded = value; }

    public Status getStatus() { return status; }
    public void setStatus(Status value) { this.status = value; }

    public long getVersion() { return version; }
    public void setVersion(long value) { this.version = value; }
}
