-- Payments by status.
select status, count(*) as payments from payments where merged_into is null group by status order by payments desc
