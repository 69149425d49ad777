"""What somebody with a worker's Redis password may try. `{mine}` is its own list, `{theirs}` another worker's."""

COMMANDS = """
LPUSH {mine} x
RPUSH {mine} x
LPUSHX {mine} x
LINSERT {mine} BEFORE a b
LSET {mine} 0 x
LREM {mine} 0 x
LTRIM {mine} 0 0
LRANGE {mine} 0 -1
LINDEX {mine} 0
RPOP {mine}
LPOP {mine}
BLPOP {mine} 1
RPOPLPUSH {mine} {mine}
BRPOPLPUSH {mine} {theirs} 1
LMOVE {mine} {theirs} LEFT RIGHT
DEL {mine}
UNLINK {mine}
EXPIRE {mine} 1
RENAME {mine} {theirs}
COPY {mine} {theirs}
DUMP {mine}
RESTORE {mine} 0 x
TYPE {mine}
EXISTS {mine}
OBJECT ENCODING {mine}
SORT {mine}
BRPOP {theirs} 1
BRPOP {mine} {theirs} 1
LLEN {theirs}
LPUSH {theirs} x
LRANGE {theirs} 0 -1
DEL {theirs}
BRPOP coordination 1
BRPOP verification 1
LLEN coordination
LPUSH coordination x
GET computenet:users-checked
SET x 1
SADD _kombu.binding.coordination x
HGETALL unacked
HSET unacked a b
ZADD unacked_index 1 a
KEYS *
SCAN 0
RANDOMKEY
DBSIZE
FLUSHALL
FLUSHDB
SWAPDB 0 1
SELECT 1
MOVE {mine} 1
PUBLISH live x
SUBSCRIBE live
PSUBSCRIBE *
PUBSUB CHANNELS
EVAL return{} 0
EVALSHA 0000000000000000000000000000000000000000 0
SCRIPT FLUSH
SCRIPT LOAD return
CONFIG GET *
CONFIG SET maxmemory 1
CONFIG REWRITE
ACL LIST
ACL WHOAMI
ACL SETUSER w-x on nopass ~* +@all
ACL DELUSER coordinator
ACL GETUSER coordinator
CLIENT LIST
CLIENT KILL TYPE normal
CLIENT PAUSE 100000
CLIENT NO-EVICT on
INFO
MONITOR
DEBUG SLEEP 10
SHUTDOWN NOSAVE
SAVE
BGSAVE
LASTSAVE
REPLICAOF 127.0.0.1 1
SLAVEOF 127.0.0.1 1
SYNC
PSYNC ? -1
MODULE LIST
MODULE LOAD /tmp/x.so
MIGRATE 127.0.0.1 1 {mine} 0 10
LATENCY LATEST
SLOWLOG GET
MEMORY STATS
COMMAND
CLUSTER INFO
FAILOVER
WAIT 1 1
XADD {mine} * a b
XREAD STREAMS {theirs} 0
OBJECT FREQ {theirs}
WATCH {theirs}
"""


def commands(mine: str, theirs: str) -> list[list[str]]:
    lines = (line.replace("{mine}", mine).replace("{theirs}", theirs) for line in COMMANDS.split("\n"))
    return [line.split(" ") for line in lines if line]
