-- migrate:up

-- Time counts against what waits only while what it waits for could have come. One row.
create table parking_clock (
    single boolean primary key default true check (single),
    watermark timestamptz,
    moved_at timestamptz,
    waits_for text not null default '' check (length(waits_for) <= 1000),
    began_at timestamptz,
    ended_at timestamptz,
    after_id bigint not null default 0,
    check ((began_at is null) = (ended_at is null))
);
comment on table parking_clock is 'Up to when all that had come in was settled (watermark), and since when that did not advance (moved_at).';
comment on column parking_clock.began_at is 'a standstill whose time is being added to the deadlines, up to the parked event after_id';
insert into parking_clock (moved_at) values (now());

-- migrate:down

drop table parking_clock;
