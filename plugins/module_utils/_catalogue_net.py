# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The catalogue: the network but for TCP, net.*."""

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
    """The table of neighbours, once for IPv4 and once for IPv6. Network namespaces share it."""
    name = f"net.{family}.neigh.default"
    return (
        _IP.number(f"{name}.gc_thresh1", 128, 16384, "128", "neighbours", "routing containers",
                   "neighbours below which none is forgotten", log=True,
                   constraints=(f"{name}.gc_thresh1 <= {name}.gc_thresh2",)),
        _IP.number(f"{name}.gc_thresh2", 512, 32768, "512", "neighbours", "routing containers",
                   "neighbours from which those older than 5 s are forgotten", log=True,
                   constraints=(f"{name}.gc_thresh1 <= {name}.gc_thresh2", f"{name}.gc_thresh2 <= {name}.gc_thresh3")),
        _IP.number(f"{name}.gc_thresh3", 1024, 131072, "1024", "neighbours", "routing containers",
                   "neighbours at most; a new one beyond it is refused", log=True, risk="stability",
                   constraints=(f"{name}.gc_thresh2 <= {name}.gc_thresh3",)),
        _IP.number(f"{name}.gc_stale_time", 10, 600, "60", "s", "routing", "age from which a neighbour is looked at"),
        _IP.size(f"{name}.unres_qlen_bytes", 4096, 4 * _MIB, "212992", "routing",
                 "bytes that wait for a neighbour's address"),
    )  # fmt: skip


def _timeout(name: str, low: int, high: int, default: str, summary: str, since: str = "") -> Setting:
    return _CONNTRACK.number(
        f"net.netfilter.nf_conntrack_{name}", low, high, default, "s", "routing web", summary, log=True, since=since
    )


SETTINGS = (
    _CORE.number("net.core.busy_poll", 0, 200, "0", "us", "latency", "how long poll() looks for packets itself",
                 special=_ZERO_OFF),
    _CORE.number("net.core.busy_read", 0, 200, "0", "us", "latency", "how long a read looks for packets itself",
                 special=_ZERO_OFF),
    _CORE.choice("net.core.default_qdisc", "pfifo_fast fq_codel fq", "pfifo_fast", "throughput latency",
                 "queue of interfaces that come up from now on", is_open=True),
    _CORE.number("net.core.dev_weight", 8, 1024, "64", "packets", "throughput latency",
                 "packets which one interface hands over before the next one's turn", log=True),
    _CORE.number("net.core.dev_weight_rx_bias", 1, 16, "1", "factor", "throughput", "dev_weight for packets from RPS"),
    _CORE.number("net.core.dev_weight_tx_bias", 1, 16, "1", "factor", "throughput", "dev_weight for sending"),
    _CORE.choice("net.core.flow_limit_table_len", "1024 2048 4096 8192", "4096", "routing",
                 "flows told apart when a backlog is full; counts for CPUs that turn it on later"),
    _CORE.number("net.core.gro_normal_batch", 1, 64, "8", "packets", "throughput latency",
                 "merged packets passed on together", since="5.4"),
    _CORE.switch("net.core.high_order_alloc_disable", "0", "throughput", "single pages for packets", since="5.3"),
    _CORE.number("net.core.mem_pcpu_rsv", 256, 4096, "256", "pages", "throughput",
                 "memory for sockets which each CPU keeps at hand", log=True, since="6.9"),
    _CORE.number("net.core.netdev_budget", 64, 4096, "300", "packets", "throughput latency",
                 "packets of all interfaces in one round of polling", log=True),
    _CORE.number("net.core.netdev_budget_usecs", 8000, 40000, "", "us", "throughput latency",
                 "longest round of polling; since 6.14 at least two ticks of the kernel's clock",
                 log=True, special=(("2000", "two ticks at 1000 Hz"), ("4000", "two ticks at 500 Hz"))),
    # At most what the link brings in a tenth of a second, in full packets.
    _CORE.number("net.core.netdev_max_backlog", 128, Share("link", 0.1 / 1500, least=16384), "1000", "packets",
                 "throughput routing", "packets that may wait for a CPU", log=True),
    _CORE.switch("net.core.netdev_tstamp_prequeue", "1", "throughput", "time stamps before packets are passed to CPUs"),
    _CORE.size("net.core.optmem_max", 20480, 4 * _MIB, "131072", "throughput",
               "a socket's memory beside its buffers, as for zero-copy"),
    _CORE.size("net.core.rmem_default", 65536, _LARGEST_FIRST_BUFFER, "212992", "throughput latency",
               "receive buffer of sockets other than TCP, at first"),
    _CORE.size("net.core.rmem_max", 65536, _LARGEST_BUFFER, "4194304", "throughput latency",
               "largest receive buffer which a program may ask for"),
    _CORE.number("net.core.rps_sock_flow_entries", 0, 65536, "0", "flows", "throughput latency",
                 "flows whose CPU is remembered; rounded up to a power of two", special=_ZERO_OFF),
    _CORE.number("net.core.skb_defer_max", 0, 1024, "64", "packets", "throughput",
                 "packets which a CPU leaves to another to free", since="5.19", special=_ZERO_OFF),
    _CORE.number("net.core.somaxconn", 128, 65535, "4096", "connections", "web",
                 "connections which may wait for a listener to accept them", log=True),
    _CORE.switch("net.core.txrehash", "1", "throughput", "listeners try other paths after a loss", since="5.18"),
    _CORE.size("net.core.wmem_default", 65536, _LARGEST_FIRST_BUFFER, "212992", "throughput latency",
               "send buffer of sockets other than TCP, at first"),
    _CORE.size("net.core.wmem_max", 65536, _LARGEST_BUFFER, "4194304", "throughput latency",
               "largest send buffer which a program may ask for"),
    _IP.number("net.unix.max_dgram_qlen", 10, 4096, "10", "messages", "containers database",
               "messages waiting in a local datagram socket", log=True),
    _IP.choice("net.ipv4.fib_multipath_hash_policy", "0 1", "0", "routing", "what decides between equal routes",
               special=(("0", "addresses"), ("1", "addresses and ports"))),
    _IP.switch("net.ipv4.fib_multipath_use_neigh", "0", "routing", "prefer routes whose next hop answers"),
    _IP.size("net.ipv4.fib_sync_mem", 65536, 64 * _MIB, "524288", "routing",
             "memory given up by routes before everybody is waited for"),
    _IP.number("net.ipv4.inet_peer_threshold", 4096, 1048576, "65664", "peers", "routing web",
               "peers remembered before the old ones go", log=True),
    _IP.switch("net.ipv4.ip_early_demux", "1", "throughput routing", "look for the socket before the route"),
    _IP.vector("net.ipv4.ip_local_port_range", (Range(10000, 32768), Range(49152, 65535)), "32768 60999", "ports",
               "web", "ports for outgoing connections", constraints=("ascending",), risk="stability"),
    _IP.size("net.ipv4.ipfrag_high_thresh", 4 * _MIB, _FRAGMENTS, "4194304", "routing throughput",
             "memory for packets in fragments",
             constraints=("net.ipv4.ipfrag_low_thresh <= net.ipv4.ipfrag_high_thresh",)),
    _IP.size("net.ipv4.ipfrag_low_thresh", 512 * 1024, 3 * _MIB, "3145728", "routing throughput",
             "memory for packets in fragments below which none is given up",
             constraints=("net.ipv4.ipfrag_low_thresh <= net.ipv4.ipfrag_high_thresh",)),
    _IP.number("net.ipv4.ipfrag_max_dist", 0, 4096, "64", "packets", "routing",
               "packets of the same sender between two fragments", special=_ZERO_OFF),
    _IP.number("net.ipv4.ipfrag_time", 5, 60, "30", "s", "routing", "how long fragments are kept"),
    _IP.switch("net.ipv4.udp_early_demux", "1", "throughput latency routing", "look for the socket before the route"),
    _IP.vector("net.ipv4.udp_mem",
               (Range(Share("pages", 1 / 64), Share("pages", 1 / 8), log=True),
                Range(Share("pages", 1 / 32), Share("pages", 1 / 6), log=True),
                Range(Share("pages", 1 / 16), Share("pages", 1 / 4), log=True)),
               "", "pages", "throughput latency", "memory of all UDP sockets: relaxed, pressed, at most",
               constraints=("ascending",), risk="stability"),
    _IP.size("net.ipv4.udp_rmem_min", 4096, _MIB, "4096", "throughput latency",
             "receive buffer which a UDP socket keeps when memory is short"),
    _IP.size("net.ipv4.udp_wmem_min", 4096, _MIB, "4096", "throughput latency",
             "send buffer which a UDP socket keeps when memory is short"),
    *_neighbours("ipv4"),
    _IP.choice("net.ipv6.auto_flowlabels", "0 1 2 3", "1", "throughput routing",
               "flow labels made from addresses and ports",
               special=(("0", "never"), ("1", "unless a socket refuses"), ("2", "if a socket asks"), ("3", "always"))),
    _IP.choice("net.ipv6.fib_multipath_hash_policy", "0 1", "0", "routing", "what decides between equal routes",
               special=(("0", "addresses"), ("1", "addresses and ports"))),
    _IP.size("net.ipv6.ip6frag_high_thresh", 4 * _MIB, _FRAGMENTS, "4194304", "routing throughput",
             "memory for packets in fragments",
             constraints=("net.ipv6.ip6frag_low_thresh <= net.ipv6.ip6frag_high_thresh",)),
    _IP.size("net.ipv6.ip6frag_low_thresh", 512 * 1024, 3 * _MIB, "3145728", "routing throughput",
             "memory for packets in fragments below which none is given up",
             constraints=("net.ipv6.ip6frag_low_thresh <= net.ipv6.ip6frag_high_thresh",)),
    _IP.number("net.ipv6.ip6frag_time", 5, 120, "60", "s", "routing", "how long fragments are kept"),
    _IP.number("net.ipv6.route.gc_thresh", 1024, 131072, "1024", "routes", "routing",
               "cached routes from which old ones go", log=True),
    _IP.number("net.ipv6.route.max_size", 4096, 2**31 - 1, "2147483647", "routes", "routing",
               "cached routes at most; 4096 before 6.3", log=True, risk="stability"),
    *_neighbours("ipv6"),
    _MPTCP.switch("net.mptcp.checksum_enabled", "0", "throughput", "check data beyond TCP's own sum", since="5.14"),
    _MPTCP.switch("net.mptcp.enabled", "1", "throughput", "programs may use several paths at once", since="5.6"),
    _CONNTRACK.switch("net.netfilter.nf_conntrack_acct", "0", "routing", "count bytes and packets"),
    _CONNTRACK.number("net.netfilter.nf_conntrack_buckets", 16384, 1048576, "", "lists", "routing web",
                      "lists among which connections are spread", log=True),
    _CONNTRACK.switch("net.netfilter.nf_conntrack_checksum", "1", "routing", "leave out packets with a wrong sum"),
    _CONNTRACK.choice("net.netfilter.nf_conntrack_events", "0 1 2", "2", "routing", "tell programs of connections",
                      special=(("0", "never"), ("1", "always"), ("2", "while one listens"))),
    _CONNTRACK.number("net.netfilter.nf_conntrack_expect_max", 256, 65536, "", "connections", "routing",
                      "connections expected, as by FTP", log=True),
    _CONNTRACK.number("net.netfilter.nf_conntrack_max", 65536, Share("bytes", 1 / 4096, least=262144), "",
                      "connections", "routing web containers", "connections; new ones beyond it are dropped", log=True,
                      risk="stability"),
    _CONNTRACK.switch("net.netfilter.nf_conntrack_tcp_loose", "1", "routing", "take up connections seen in the middle"),
    _CONNTRACK.switch("net.netfilter.nf_conntrack_timestamp", "0", "routing", "note when connections began"),
    _timeout("generic_timeout", 30, 1200, "600", "how long connections of unknown kind are remembered"),
    _timeout("tcp_timeout_close_wait", 10, 3600, "60", "how long a connection closed from afar is remembered"),
    _timeout("tcp_timeout_established", 600, 432000, "432000", "how long a silent connection is remembered"),
    _timeout("tcp_timeout_fin_wait", 10, 240, "120", "how long a connection closed here is remembered"),
    _timeout("tcp_timeout_syn_recv", 5, 120, "60", "how long an answered attempt is remembered"),
    _timeout("tcp_timeout_syn_sent", 10, 240, "120", "how long an attempt is remembered"),
    _timeout("tcp_timeout_time_wait", 5, 240, "120", "how long an ended connection is remembered"),
    _timeout("udp_timeout", 5, 180, "30", "how long a UDP exchange is remembered"),
    _timeout("udp_timeout_stream", 30, 360, "120", "how long a longer UDP exchange is remembered"),
)  # fmt: skip
