update spool set relay_xid = 2 where relay_xid <> 2
