package ratchet.types;

import java.util.Map;

/**
 * A payment that a client wants: the body of `create`. `amount` is minor units of
 * `currency`.
 *
 * `merchant_account` may be left out where the endpoint has one; `livemode` is the
 * endpoint's mode unless given.
 */
public class Intent {
    private String account;
    private long amount;
    private CaptureEnum capture;
    private String currency;
    private Boolean livemode;
    private String merchantAccount;
    private Map<String, Object> metadata;
    private String phone;
    private String provider;
    private String providerRef;
    private String reference;

    public String getAccount() { return account; }
    public void setAccount(String value) { this.account = value; }

    public long getAmount() { return amount; }
    public void setAmount(long value) { this.amount = value; }

    public CaptureEnum getCapture() { return capture; }
    public void setCapture(CaptureEnum value) { this.capture = value; }

    public String getCurrency() { return currency; }
    public void setCurrency(String value) { this.currency = value; }

    public Boolean getLivemode() { return livemode; }
    public void setLivemode(Boolean value) { this.livemode = value; }

    public String getMerchantAccount() { return merchantAccount; }
    public void setMerchantAccount(String value) { this.merchantAccount = value; }

    public Map<String, Object> getMetadata() { return metadata; }
    public void setMetadata(Map<String, Object> value) { this.metadata = value; }

    public String getPhone() { return phone; }
    public void setPhone(String value) { this.phone = value; }

    public String getProvider() { return provider; }
    public void setProvider(String value) { this.provider = value; }

    public String getProviderRef() { return providerRef; }
    public void setProviderRef(String value) { this.providerRef = value; }

    public String getReference() { return reference; }
    public void setReference(String value) { this.reference = value; }
}
