-- migrate:up

create table dead_letter_notes (
    id bigint generated always as identity primary key,
    reason text check (length(reason) between 1 and 64),
    source text check (length(source) between 1 and 400),
    event_type text check (length(event_type) between 1 and 400),
    redrive_id bigint references redrives (id),
    note text not null check (length(note) between 1 and 500),
    author text not null check (length(author) between 1 and 128),
    made_at timestamptz not null default clock_timestamp(),
    silent_until timestamptz not null check (silent_until > made_at),
    ended_by text check (length(ended_by) between 1 and 128),
    ended_at timestamptz,
    constraint dead_letter_notes_about check ((reason is null) = (redrive_id is not null)),
    constraint dead_letter_notes_redrive check (redrive_id is null or (source is null and event_type is null)),
    constraint dead_letter_notes_ended check ((ended_by is null) = (ended_at is null))
);
comment on table dead_letter_notes is
    'What people know of a group of dead letters (reason, source, kind) or of a redrive, and until when nobody is called for them.';
create index dead_letter_notes_standing on dead_letter_notes (silent_until) where ended_at is null;
create index dead_letter_notes_of_redrive on dead_letter_notes (redrive_id) where redrive_id is not null;

create view noted_dead_letters as
select d.id, d.reason, n.id as note_id
from dead_letter_notes n
inner join dead_letters d
    on d.status = 'open' and d.reason = n.reason and d.source is not distinct from n.source
        and d.event_type is not distinct from n.event_type
where n.ended_at is null and n.silent_until > statement_timestamp()
union all
select d.id, d.reason, n.id
from dead_letter_notes n
inner join redrive_returns r on r.redrive_id = n.redrive_id
inner join dead_letters d on d.status = 'open' and d.id = r.returned_id
where n.ended_at is null and n.silent_until > statement_timestamp();
comment on view noted_dead_letters is 'Open dead letters with a note that stands: a row for each note that speaks of one.';

-- migrate:down

drop view noted_dead_letters;
drop table dead_letter_notes;
