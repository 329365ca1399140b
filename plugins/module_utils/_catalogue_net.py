# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The catalogue: networking, net.*, except TCP."""

from __future__ import annotations

from ansible_collections.autotune.kernel.plugins.module_utils._catalogue_entry import Chapter, Range, Setting, Share

_CORE = Chapter("admin-guide/sysctl/net")
_IP = Chapter("networking/ip-sysctl")
_CONNTRACK = Chapter("networking/nf_conntrack-sysctl")
_MPTCP = Chapter("networking/mptcp-sysctl")
_MIB = 2**20
_LARGEST_BUFFER = Share("bytes", 1 / 16, least=16 * _MIB, most=2**31 - 1)
_LARGEST_FIRST_BUFFER = Share("bytes", 1 / 64, least=4 * _MIB, most=64 * _MIB)
_FRAGMENTS = Share("bytes", 1 / 64, least=16 * _MIB, most=256 * _MIB)
_ZERO_OFF = (("0", "off"),)


def _neighbours(family: str) -> tuple[Setting, ...]:
    """The neighbour table of IPv4 or IPv6, which all network namespaces share."""
    name = f"net.{family}.neigh.default"
    return (
        _IP.number(f"{name}.gc_thresh1", 128, 16384, "128", "neighbours",
                   "neighbour entries below which none is evicted", log=True),
        _IP.number(f"{name}.gc_thresh2", 512, 32768, "512", "neighbours",
                   "neighbour entries above which those older than 5 s are evicted", log=True),
        _IP.number(f"{name}.gc_thresh3", 1024, 131072, "1024", "neighbours",
                   "maximum number of neighbour entries; further ones are refused", log=True, impairs="stability"),
        _IP.number(f"{name}.gc_stale_time", 10, 600, "60", "s", "age at which a neighbour entry is checked"),
        _IP.size(f"{name}.unres_qlen_bytes", 4096, 4 * _MIB, "212992",
                 "bytes queued until a neighbour's address is resolved"),
    )  # fmt: skip


def _timeout(name: str, low: int, high: int, default: str, summary: str) -> Setting:
    return _CONNTRACK.number(f"net.netfilter.nf_conntrack_{name}", low, high, default, "s", summary, log=True)


SETTINGS = (
    _CORE.number("net.core.busy_poll", 0, 200, "0", "us", "how long poll() busy-waits for packets", special=_ZERO_OFF),
    _CORE.number("net.core.busy_read", 0, 200, "0", "us", "how long a socket read busy-waits for packets",
                 special=_ZERO_OFF),
    _CORE.choice("net.core.default_qdisc", "pfifo_fast fq_codel fq", "pfifo_fast",
                 "queueing discipline of interfaces created from now on", is_open=True),
    _CORE.number("net.core.dev_weight", 8, 1024, "64", "packets", "packets processed per interface and NAPI poll",
                 log=True),
    _CORE.number("net.core.dev_weight_rx_bias", 1, 16, "1", "factor",
                 "factor of dev_weight for packets received by RPS"),
    _CORE.number("net.core.dev_weight_tx_bias", 1, 16, "1", "factor", "factor of dev_weight for transmission"),
    _CORE.choice("net.core.flow_limit_table_len", "1024 2048 4096 8192", "4096",
                 "flows distinguished when the backlog is full; applies to CPUs enabled later"),
    _CORE.number("net.core.gro_normal_batch", 1, 64, "8", "packets", "merged packets passed up the stack together",
                 since="5.4"),
    _CORE.switch("net.core.high_order_alloc_disable", "0", "allocate packets in single pages only", since="5.3"),
    _CORE.number("net.core.mem_pcpu_rsv", 256, 4096, "256", "pages", "socket memory that each CPU keeps in reserve",
                 log=True, since="6.9"),
    _CORE.number("net.core.netdev_budget", 64, 4096, "300", "packets",
                 "packets of all interfaces processed per NAPI cycle", log=True),
    _CORE.number("net.core.netdev_budget_usecs", 8000, 40000, "", "us",
                 "maximum duration of a NAPI cycle; since 6.14 at least two kernel ticks", log=True,
                 special=(("2000", "two ticks at 1000 Hz"), ("4000", "two ticks at 500 Hz"))),
    # At most what the link delivers in a tenth of a second, in full packets.
    _CORE.number("net.core.netdev_max_backlog", 128, Share("link", 0.1 / 1500, least=16384), "1000", "packets",
                 "packets queued for a CPU", log=True),
    _CORE.switch("net.core.netdev_tstamp_prequeue", "1",
                 "take receive time stamps before packets are distributed by RPS"),
    _CORE.size("net.core.optmem_max", 20480, 4 * _MIB, "131072", "ancillary memory per socket, as for zero-copy"),
    _CORE.size("net.core.rmem_default", 65536, _LARGEST_FIRST_BUFFER, "212992",
               "initial receive buffer of sockets other than TCP"),
    _CORE.size("net.core.rmem_max", 65536, _LARGEST_BUFFER, "4194304",
               "largest receive buffer that a program can request"),
    _CORE.number("net.core.rps_sock_flow_entries", 0, 65536, "0", "flows",
                 "size of the global RFS flow table; rounded up to a power of two", special=_ZERO_OFF),
    _CORE.number("net.core.skb_defer_max", 0, 1024, "64", "packets", "packets that a CPU leaves to another to free",
                 since="5.19", special=_ZERO_OFF),
    _CORE.number("net.core.somaxconn", 128, 65535, "4096", "connections", "maximum accept queue of a listening socket",
                 log=True),
    _CORE.switch("net.core.txrehash", "1", "listening sockets choose another path after a loss", since="5.18"),
    _CORE.size("net.core.wmem_default", 65536, _LARGEST_FIRST_BUFFER, "212992",
               "initial send buffer of sockets other than TCP"),
    _CORE.size("net.core.wmem_max", 65536, _LARGEST_BUFFER, "4194304",
               "largest send buffer that a program can request"),
    _IP.number("net.unix.max_dgram_qlen", 10, 4096, "10", "messages", "messages queued in a Unix datagram socket",
               log=True),
    _IP.choice("net.ipv4.fib_multipath_hash_policy", "0 1", "0", "what selects among equal-cost routes",
               special=(("0", "addresses"), ("1", "addresses and ports"))),
    _IP.switch("net.ipv4.fib_multipath_use_neigh", "0", "prefer routes whose next hop is reachable"),
    _IP.size("net.ipv4.fib_sync_mem", 65536, 64 * _MIB, "524288",
             "memory that routes may release before an RCU synchronization"),
    _IP.number("net.ipv4.inet_peer_threshold", 4096, 1048576, "65664", "peers",
               "remembered peers, above which old ones are evicted", log=True),
    _IP.switch("net.ipv4.ip_early_demux", "1", "look up the socket before the route"),
    _IP.vector("net.ipv4.ip_local_port_range", (Range(10000, 32768), Range(49152, 65535)), "32768 60999", "ports",
               "ports for outgoing connections", impairs="stability"),
    _IP.size("net.ipv4.ipfrag_high_thresh", 4 * _MIB, _FRAGMENTS, "4194304", "memory for reassembly of fragments"),
    _IP.size("net.ipv4.ipfrag_low_thresh", 512 * 1024, 3 * _MIB, "3145728",
             "memory for reassembly, below which no fragments are discarded"),
    _IP.number("net.ipv4.ipfrag_max_dist", 0, 4096, "64", "packets",
               "packets from the same sender between two fragments", special=_ZERO_OFF),
    _IP.number("net.ipv4.ipfrag_time", 5, 60, "30", "s", "how long fragments are kept"),
    _IP.switch("net.ipv4.udp_early_demux", "1", "look up the socket before the route"),
    _IP.vector("net.ipv4.udp_mem",
               (Range(Share("pages", 1 / 64), Share("pages", 1 / 8), log=True),
                Range(Share("pages", 1 / 32), Share("pages", 1 / 6), log=True),
                Range(Share("pages", 1 / 16), Share("pages", 1 / 4), log=True)),
               "", "pages", "memory of all UDP sockets: no pressure, pressure, maximum", impairs="stability"),
    _IP.size("net.ipv4.udp_rmem_min", 4096, _MIB, "4096",
             "receive buffer that a UDP socket keeps under memory pressure"),
    _IP.size("net.ipv4.udp_wmem_min", 4096, _MIB, "4096", "send buffer that a UDP socket keeps under memory pressure"),
    *_neighbours("ipv4"),
    _IP.choice("net.ipv6.auto_flowlabels", "0 1 2 3", "1", "flow labels computed from addresses and ports",
               special=(("0", "never"), ("1", "unless a socket refuses"), ("2", "if a socket asks"), ("3", "always"))),
    _IP.choice("net.ipv6.fib_multipath_hash_policy", "0 1", "0", "what selects among equal-cost routes",
               special=(("0", "addresses"), ("1", "addresses and ports"))),
    _IP.size("net.ipv6.ip6frag_high_thresh", 4 * _MIB, _FRAGMENTS, "4194304", "memory for reassembly of fragments"),
    _IP.size("net.ipv6.ip6frag_low_thresh", 512 * 1024, 3 * _MIB, "3145728",
             "memory for reassembly, below which no fragments are discarded"),
    _IP.number("net.ipv6.ip6frag_time", 5, 120, "60", "s", "how long fragments are kept"),
    _IP.number("net.ipv6.route.gc_thresh", 1024, 131072, "1024", "routes",
               "cached routes, above which old ones are evicted", log=True),
    _IP.number("net.ipv6.route.max_size", 4096, 2**31 - 1, "2147483647", "routes",
               "maximum number of cached routes; 4096 before 6.3", log=True, impairs="stability"),
    *_neighbours("ipv6"),
    _MPTCP.switch("net.mptcp.checksum_enabled", "0", "checksum the data in addition to TCP's checksum", since="5.14"),
    _MPTCP.switch("net.mptcp.enabled", "1", "programs may use several paths at once (MPTCP)", since="5.6"),
    _CONNTRACK.switch("net.netfilter.nf_conntrack_acct", "0", "count bytes and packets per connection"),
    _CONNTRACK.number("net.netfilter.nf_conntrack_buckets", 16384, 1048576, "", "lists",
                      "size of the connection hash table", log=True),
    _CONNTRACK.switch("net.netfilter.nf_conntrack_checksum", "1", "ignore packets with a bad checksum"),
    _CONNTRACK.choice("net.netfilter.nf_conntrack_events", "0 1 2", "2", "notify programs of connections",
                      special=(("0", "never"), ("1", "always"), ("2", "while one listens"))),
    _CONNTRACK.number("net.netfilter.nf_conntrack_expect_max", 256, 65536, "", "connections",
                      "maximum number of expected connections, as of FTP", log=True),
    _CONNTRACK.number("net.netfilter.nf_conntrack_max", 65536, Share("bytes", 1 / 4096, least=262144), "",
                      "connections", "maximum number of tracked connections; further ones are dropped", log=True,
                      impairs="stability"),
    _CONNTRACK.switch("net.netfilter.nf_conntrack_tcp_loose", "1", "pick up connections that are already established"),
    _CONNTRACK.switch("net.netfilter.nf_conntrack_timestamp", "0", "record when connections start"),
    _timeout("generic_timeout", 30, 1200, "600", "timeout of connections of unknown protocol"),
    _timeout("tcp_timeout_close_wait", 10, 3600, "60", "timeout of a connection in CLOSE_WAIT"),
    _timeout("tcp_timeout_established", 600, 432000, "432000", "timeout of an idle connection"),
    _timeout("tcp_timeout_fin_wait", 10, 240, "120", "timeout of a connection in FIN_WAIT"),
    _timeout("tcp_timeout_syn_recv", 5, 120, "60", "timeout of a connection in SYN_RECV"),
    _timeout("tcp_timeout_syn_sent", 10, 240, "120", "timeout of a connection in SYN_SENT"),
    _timeout("tcp_timeout_time_wait", 5, 240, "120", "timeout of a connection in TIME_WAIT"),
    _timeout("udp_timeout", 5, 180, "30", "timeout of a UDP exchange"),
    _timeout("udp_timeout_stream", 30, 360, "120", "timeout of a longer UDP exchange"),
)  # fmt: skip
