select relay_xid, id from relay_cursors where name = $1
