package ratchet.types;

import java.util.List;
import java.util.Map;

/**
 * The JSON value of a record of `payments.changes`. Amounts are minor units of `currency`.
 *
 * First what happened: `source` and `event_id` name the event that changed the payment,
 * `event_type` is its provider's
 * name for it, `event_amount` the event's own figure. `occurred_at` is what the provider
 * says, `recorded_at` when the
 * ledger row was written. A change without an event of its own (an attempt was adopted or
 * released, a payment turned
 * out to be another one) has the source `ratchet` and the event id `payment_id:version`.
 *
 * `epoch` is another, larger number after the database was restored or a replica promoted:
 * from there versions count
 * anew, and may be given again with other contents.
 *
 * Then, from `provider` on, how the payment stood when the record was sent, which may be
 * later. `livemode` is false of
 * test money, `metadata` is what the client noted on its intent. Payments that have neither
 * `intent_id` nor
 * `merged_into` add up to all the money there is.
 */
public class Change {
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
    private Long eventAmount;
    private String eventID;
    private String eventType;
    private List<Flag> flags;
    private Status fromStatus;
    private String intentID;
    private boolean livemode;
    private String merchantAccount;
    private String mergedInto;
    private Map<String, Object> metadata;
    private String occurredAt;
    private Outcome outcome;
    private String paymentID;
    private String provider;
    private String providerRef;
    private String recordedAt;
    private String reference;
    private RefundStatus refundStatus;
    private long refunded;
    private String source;
    private Status status;
    private Status toStatus;
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

    public Long getEventAmount() { return eventAmount; }
    public void setEventAmount(Long value) { this.eventAmount = value; }

    public String getEventID() { return eventID; }
    public void setEventID(String value) { this.eventID = value; }

    public String getEventType() { return eventType; }
    public void setEventType(String value) { this.eventType = value; }

    public List<Flag> getFlags() { return flags; }
    public void setFlags(List<Flag> value) { this.flags = value; }

    public Status getFromStatus() { return fromStatus; }
    public void setFromStatus(Status value) { this.fromStatus = value; }

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

    public String getOccurredAt() { return occurredAt; }
    public void setOccurredAt(String value) { this.occurredAt = value; }

    public Outcome getOutcome() { return outcome; }
    public void setOutcome(Outcome value) { this.outcome = value; }

    public String getPaymentID() { return paymentID; }
    public void setPaymentID(String value) { this.paymentID = value; }

    public String getProvider() { return provider; }
    public void setProvider(String value) { this.provider = value; }

    public String getProviderRef() { return providerRef; }
    public void setProviderRef(String value) { this.providerRef = value; }

    public String getRecordedAt() { return recordedAt; }
    public void setRecordedAt(String value) { this.recordedAt = value; }

    public String getReference() { return reference; }
    public void setReference(String value) { this.reference = value; }

    public RefundStatus getRefundStatus() { return refundStatus; }
    public void setRefundStatus(RefundStatus value) { this.refundStatus = value; }

    public long getRefunded() { return refunded; }
    public void setRefunded(long value) { this.refunded = value; }

    public String getSource() { return source; }
    public void setSource(String value) { this.source = value; }

    public Status getStatus() { return status; }
    public void setStatus(Status value) { this.status = value; }

    public Status getToStatus() { return toStatus; }
    public void setToStatus(Status value) { this.toStatus = value; }

    public long getVersion() { return version; }
    public void setVersion(long value) { this.version = value; }
}
