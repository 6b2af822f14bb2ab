update payments set head_xid = 2 where head_xid > 2
