"""Every limit on what one host may cost the operator, in one place, with its unit.

A host that was taken over sends what it likes. Each limit is far above what any host of a cluster
needs (an audit reads some 80 kB from each), and together they keep a host that lies below 200 MB
of the operator's memory and within its own timeout. What exceeds a limit is UNKNOWN with the
reason, and concerns this host's rows only.
"""

KIB = 1 << 10
MIB = 1 << 20

# --- what arrives over ssh (hale/ssh) ---

#: Bytes of stdout and stderr together that one command may print, counted as they are buffered.
OUTPUT_BYTES = 64 * MIB
#: Bytes of the line with the exit status; the longest one is `255`.
STATUS_BYTES = 3
#: Bytes on stderr that no command asked for: what a ProxyCommand or a jump host prints. There is no
#: such output on stdout.
STRAY_STDERR_BYTES = 64 * KIB
#: Seconds in which a connection with such output may turn out to be at its end.
STRAY_SECONDS = 0.5
#: Bytes of ssh's log that are read. A server can print 8 MiB (1024 lines of 8 KiB) before ssh
#: writes what it thinks of the host key.
LOG_BYTES = 16 * MIB

# --- the answer of a host (hale/gather) ---

#: Bytes of the answer, decompressed.
ANSWER_BYTES = 16 * MIB
#: Frames of the answer: one or two a probe.
FRAMES = 10_000
#: Bytes that one probe may print, and each list of errors.
PROBE_BYTES = 1 * MIB
#: Files that may be listed, and lines of all of them.
FILES = 100_000
LINES = 300_000
#: Bytes and lines of a file, and bytes of a line. (The kernel's command line has at most 4 KiB,
#: a cloud's user data some 64 KiB.)
FILE_BYTES = 2 * MIB
FILE_LINES = 100_000
LINE_BYTES = 64 * KIB
#: Bytes of memory that the texts of one host may take. A character takes up to 4 bytes, and a byte
#: that is not UTF-8 becomes 4 characters.
TEXT_MEMORY = 32 * MIB

# --- what readers make of it (facts/) ---

#: Seconds of processor time in which one host's answer is understood and judged.
READING_SECONDS = 10.0
#: Characters that variables of a boot loader may expand to, for all entries together.
EXPANSION_CHARACTERS = 1 * MIB
#: Characters that the variables of a file's commands may expand to, in all of its lines.
COMMAND_CHARACTERS = 1 * MIB
#: Bytes of a YAML document (a cloud's user data: 64 KiB), and what it may stand for with all
#: that its aliases repeat: values, characters, and levels. A parsed value takes half a KiB.
YAML_BYTES = 256 * KIB
YAML_LEVELS = 100
#: Hours of their own at which cron and timers may reboot a host.
SCHEDULED_REBOOTS = 100
#: Files that may be opened because others include them.
INCLUDES = 200
#: Patterns of a configuration that are compared with names, and the characters of one (PATH_MAX).
PATTERNS = 1000
PATTERN_CHARACTERS = 4096
