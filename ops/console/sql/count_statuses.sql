-- Orders by status: payments, without the attempts of intents and without test money.
select status, count(*) as payments from payments where merged_into is null and intent_id is null and livemode group by status order by payments desc
