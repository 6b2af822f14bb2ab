package ratchet.types;

import java.util.Map;

/**
 * The JSON value of a record of `payments.commands`. Amounts are minor units of `currency`;
 * a cancel has none.
 *
 * `id` tells commands apart and is the provider's idempotency key: of one that the API took
 * a UUID, else the `ce_id`
 * that its publisher gave. `attempt_id` and `provider_ref` name the payment at the provider
 * that it is for; they stay
 * what they are, whatever becomes of it. `payment_id` is the client's: another one where an
 * intent has attempts.
 * `reference` is the client's own name of the payment; `reason` and `metadata` are what it
 * noted on the command.
 */
public class CommandRecord {
    private String account;
    private Long amount;
    private String askedAt;
    private String attemptID;
    private String client;
    private CommandName command;
    private String currency;
    private String expiresAt;
    private String id;
    private boolean livemode;
    private String merchantAccount;
    private Map<String, Object> metadata;
    private String paymentID;
    private String provider;
    private String providerRef;
    private String reason;
    private String reference;

    public String getAccount() { return account; }
    public void setAccount(String value) { this.account = value; }

    public Long getAmount() { return amount; }
    public void setAmount(Long value) { this.amount = value; }

    public String getAskedAt() { return askedAt; }
    public void setAskedAt(String value) { this.askedAt = value; }

    public String getAttemptID() { return attemptID; }
    public void setAttemptID(String value) { this.attemptID = value; }

    public String getClient() { return client; }
    public void setClient(String value) { this.client = value; }

    public CommandName getCommand() { return command; }
    public void setCommand(CommandName value) { this.command = value; }

    public String getCurrency() { return currency; }
    public void setCurrency(String value) { this.currency = value; }

    public String getExpiresAt() { return expiresAt; }
    public void setExpiresAt(String value) { this.expiresAt = value; }

    public String getID() { return id; }
    public void setID(String value) { this.id = value; }

    public boolean getLivemode() { return livemode; }
    public void setLivemode(boolean value) { this.livemode = value; }

    public String getMerchantAccount() { return merchantAccount; }
    public void setMerchantAccount(String value) { this.merchantAccount = value; }

    public Map<String, Object> getMetadata() { return metadata; }
    public void setMetadata(Map<String, Object> value) { this.metadata = value; }

    public String getPaymentID() { return paymentID; }
    public void setPaymentID(String value) { this.paymentID = value; }

    public String getProvider() { return provider; }
    public void setProvider(String value) { this.provider = value; }

    public String getProviderRef() { return providerRef; }
    public void setProviderRef(String value) { this.providerRef = value; }

    public String getReason() { return reason; }
    public void setReason(String value) { this.reason = value; }

    public String getReference() { return reference; }
    public void setReference(String value) { this.reference = value; }
}
