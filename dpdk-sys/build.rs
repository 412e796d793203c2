//! Binds and links DPDK when feature `link` is on; does nothing otherwise.

fn main() {
    #[cfg(not(feature = "link"))]
    println!("cargo:rerun-if-changed=build.rs");
    #[cfg(feature = "link")]
    link::run();
}

#[cfg(feature = "link")]
mod link {
    use std::path::PathBuf;
    use std::process::{Command, exit};

    /// Oldest version that is supported.
    const OLDEST: &str = "22.11";

    /// Functions and variables that hal calls.
    const NAMES: &[&str] = &[
        "qfp_.*",
        "QFP_.*",
        "rte_crypto_op_pool_create",
        "rte_cryptodev_(close|configure|get_dev_id|queue_pair_setup|start|stop)",
        "rte_cryptodev_sym_get_private_session_size",
        "rte_cryptodev_sym_session_(create|free|pool_create)",
        "rte_dev_probe",
        "rte_eal_(cleanup|has_hugepages|init)",
        "rte_eth_allmulticast_enable",
        "rte_eth_call_(rx|tx)_callbacks",
        "rte_eth_dev_(adjust_nb_rx_tx_desc|close|configure|default_mac_addr_set|start|stop)",
        "rte_eth_dev_(get_name_by_port|get_port_by_name|info_get|socket_id)",
        "rte_eth_find_next_owned_by",
        "rte_eth_fp_ops",
        "rte_eth_macaddr_get",
        "rte_eth_promiscuous_(disable|enable|get)",
        "rte_eth_(rx|tx)_queue_setup",
        "rte_eth_stats_get",
        "rte_eth_xstats_(get|get_names)",
        "rte_malloc_(get_socket_stats|heap_create|heap_get_socket|heap_memory_add)",
        "rte_mempool_(avail_count|create_empty|free|in_use_count|obj_iter)",
        "rte_mempool_(populate_default|set_ops_byname)",
        "rte_mbuf_best_mempool_ops",
        "rte_pktmbuf_(free_bulk|init|pool_create|pool_init)",
        "rte_strerror",
        "rte_thread_(register|unregister)",
        "rte_version",
    ];

    /// Functions and variables of the libraries that benches measure against.
    const PEERS: &[&str] = &[
        "RTE_ACL_(FIELD_TYPE_.*|MAX_PRIORITY)",
        "rte_acl_(create|free|add_rules|build|classify|classify_alg|set_ctx_classify|reset)",
        "rte_fib6?_(create|free|add|delete|lookup_bulk|select_lookup)",
        "rte_lpm6?_(create|free|add|delete|delete_all|lookup|lookup_bulk_func)",
        "rte_meter_(srtcm|trtcm|trtcm_rfc4115)_(config|profile_config)",
        "rte_sched_port_(config|free|pkt_write|pkt_read_tree_path|get_memory_footprint)",
        "rte_sched_port_(enqueue|dequeue|subport_profile_add)",
        "rte_sched_(subport|pipe)_config",
    ];

    /// Types that no bound function names, because it takes them as `void *`.
    const TYPES: &[&str] = &["rte_pktmbuf_pool_private"];
    const PEER_TYPES: &[&str] = &["rte_acl_rule_data", "rte_color"];

    /// Types that are handled by address only, or whose fields have no stable names.
    const OPAQUE: &[&str] = &[
        "rte_arp_hdr",
        "rte_crypto_op",
        "rte_device",
        "rte_gtp_psc.*",
        "rte_l2tpv2.*",
        "rte_mbuf",
        "rte_mempool",
    ];

    pub(super) fn run() {
        // Nothing is printed before DPDK is found: Cargo would repeat it with the error.
        let found =
            pkg_config::Config::new().atleast_version(OLDEST).env_metadata(false).probe("libdpdk");
        if found.is_err() {
            stop(&format!(
                "DPDK {OLDEST} or newer not found: install libdpdk-dev and pkg-config \
                 (Debian, Ubuntu) or dpdk-devel (Fedora), or build without feature `dpdk`"
            ));
        }
        for file in ["build.rs", "peers.c", "peers.h", "shim.c", "shim.h"] {
            println!("cargo:rerun-if-changed={file}");
        }
        for variable in ["PKG_CONFIG", "PKG_CONFIG_PATH", "PKG_CONFIG_LIBDIR"] {
            println!("cargo:rerun-if-env-changed={variable}");
        }
        let cflags = cflags();
        shim(&cflags);
        bind(&cflags);
    }

    /// All compiler flags, as the pkg-config crate drops those that shape the headers:
    /// `-include rte_config.h` and `-march`. DPDK's headers count as the system's, so that their
    /// warnings stay out of our build.
    fn cflags() -> Vec<String> {
        let tool = std::env::var_os("PKG_CONFIG").unwrap_or_else(|| "pkg-config".into());
        match Command::new(tool).args(["--cflags", "libdpdk"]).output() {
            Ok(output) => String::from_utf8_lossy(&output.stdout)
                .split_whitespace()
                .map(|flag| match flag.strip_prefix("-I") {
                    Some(folder) => format!("-isystem{folder}"),
                    None => flag.to_owned(),
                })
                .collect(),
            Err(error) => stop(&format!("pkg-config --cflags libdpdk: {error}")),
        }
    }

    fn shim(cflags: &[String]) {
        let mut build = cc::Build::new();
        build.file("shim.c").opt_level(3).warnings(true);
        if cfg!(feature = "peers") {
            build.file("peers.c");
        }
        for flag in cflags {
            build.flag(flag);
        }
        if let Err(error) = build.try_compile("qfp_dpdk_shim") {
            stop(&format!("the shim does not compile against the installed DPDK: {error}"));
        }
    }

    fn bind(cflags: &[String]) {
        let with_peers = cfg!(feature = "peers");
        let mut builder = bindgen::Builder::default()
            .header(if with_peers { "peers.h" } else { "shim.h" })
            .clang_args(cflags)
            .rust_edition(bindgen::RustEdition::Edition2024)
            .default_enum_style(bindgen::EnumVariation::Consts)
            .prepend_enum_name(false)
            .generate_comments(false)
            .derive_copy(true)
            .derive_default(true)
            .layout_tests(false);
        let (peers, peer_types) = if with_peers { (PEERS, PEER_TYPES) } else { (&[][..], &[][..]) };
        for name in NAMES.iter().chain(peers) {
            builder = builder.allowlist_function(name).allowlist_var(name);
        }
        for name in TYPES.iter().chain(peer_types) {
            builder = builder.allowlist_type(name);
        }
        for name in OPAQUE {
            builder = builder.opaque_type(name);
        }
        let bindings = match builder.generate() {
            Ok(bindings) => bindings,
            Err(error) => stop(&format!("cannot bind DPDK's headers: {error}")),
        };
        let out = PathBuf::from(std::env::var_os("OUT_DIR").unwrap_or_default());
        if let Err(error) = bindings.write_to_file(out.join("bindings.rs")) {
            stop(&format!("cannot write bindings.rs: {error}"));
        }
    }

    /// Ends the build with one line instead of a backtrace.
    fn stop(reason: &str) -> ! {
        eprintln!("{reason}");
        exit(1);
    }
}
