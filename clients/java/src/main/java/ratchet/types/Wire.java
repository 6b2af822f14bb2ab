package ratchet.types;

public class Wire {
    private Cancel ofCancel;
    private CancelRecord ofCancelRecord;
    private Capture ofCapture;
    private CaptureRecord ofCaptureRecord;
    private Change ofChange;
    private CommandAnswered ofCommandAnswered;
    private CommandRecord ofCommandRecord;
    private CommandRefused ofCommandRefused;
    private CreateRecord ofCreateRecord;
    private DisputeMoved ofDisputeMoved;
    private DisputeStands ofDisputeStands;
    private Intent ofIntent;
    private MoneyHeld ofMoneyHeld;
    private MoneyMoved ofMoneyMoved;
    private PaymentEnded ofPaymentEnded;
    private PaymentTried ofPaymentTried;
    private Refund ofRefund;
    private RefundRecord ofRefundRecord;
    private State ofState;

    public Cancel getOfCancel() { return ofCancel; }
    public void setOfCancel(Cancel value) { this.ofCancel = value; }

    public CancelRecord getOfCancelRecord() { return ofCancelRecord; }
    public void setOfCancelRecord(CancelRecord value) { this.ofCancelRecord = value; }

    public Capture getOfCapture() { return ofCapture; }
    public void setOfCapture(Capture value) { this.ofCapture = value; }

    public CaptureRecord getOfCaptureRecord() { return ofCaptureRecord; }
    public void setOfCaptureRecord(CaptureRecord value) { this.ofCaptureRecord = value; }

    public Change getOfChange() { return ofChange; }
    public void setOfChange(Change value) { this.ofChange = value; }

    public CommandAnswered getOfCommandAnswered() { return ofCommandAnswered; }
    public void setOfCommandAnswered(CommandAnswered value) { this.ofCommandAnswered = value; }

    public CommandRecord getOfCommandRecord() { return ofCommandRecord; }
    public void setOfCommandRecord(CommandRecord value) { this.ofCommandRecord = value; }

    public CommandRefused getOfCommandRefused() { return ofCommandRefused; }
    public void setOfCommandRefused(CommandRefused value) { this.ofCommandRefused = value; }

    public CreateRecord getOfCreateRecord() { return ofCreateRecord; }
    public void setOfCreateRecord(CreateRecord value) { this.ofCreateRecord = value; }

    public DisputeMoved getOfDisputeMoved() { return ofDisputeMoved; }
    public void setOfDisputeMoved(DisputeMoved value) { this.ofDisputeMoved = value; }

    public DisputeStands getOfDisputeStands() { return ofDisputeStands; }
    public void setOfDisputeStands(DisputeStands value) { this.ofDisputeStands = value; }

    public Intent getOfIntent() { return ofIntent; }
    public void setOfIntent(Intent value) { this.ofIntent = value; }

    public MoneyHeld getOfMoneyHeld() { return ofMoneyHeld; }
    public void setOfMoneyHeld(MoneyHeld value) { this.ofMoneyHeld = value; }

    public MoneyMoved getOfMoneyMoved() { return ofMoneyMoved; }
    public void setOfMoneyMoved(MoneyMoved value) { this.ofMoneyMoved = value; }

    public PaymentEnded getOfPaymentEnded() { return ofPaymentEnded; }
    public void setOfPaymentEnded(PaymentEnded value) { this.ofPaymentEnded = value; }

    public PaymentTried getOfPaymentTried() { return ofPaymentTried; }
    public void setOfPaymentTried(PaymentTried value) { this.ofPaymentTried = value; }

    public Refund getOfRefund() { return ofRefund; }
    public void setOfRefund(Refund value) { this.ofRefund = value; }

    public RefundRecord getOfRefundRecord() { return ofRefundRecord; }
    public void setOfRefundRecord(RefundRecord value) { this.ofRefundRecord = value; }

    public State getOfState() { return ofState; }
    public void setOfState(State value) { this.ofState = value; }
}
