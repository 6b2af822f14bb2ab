-- $1 who, $2 from where, $3 action, $4 on what, $5 why
insert into operator_actions (who, origin, action, target, because) values ($1, $2, $3, $4, $5)
