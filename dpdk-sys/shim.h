/* What hal needs of DPDK and cannot be bound by name: constants behind casting macros, structure
 * offsets and bit fields, and static inline functions, in bulk form. */
#ifndef QFP_DPDK_SHIM_H
#define QFP_DPDK_SHIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <rte_cryptodev.h>
#include <rte_dev.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_lcore.h>
#include <rte_malloc.h>
#include <rte_mbuf.h>
#include <rte_mbuf_pool_ops.h>
#include <rte_mempool.h>
#include <rte_version.h>

/* Byte offsets in struct rte_mbuf, sizes and limits. */
enum {
	QFP_MBUF_BUF_ADDR = offsetof(struct rte_mbuf, buf_addr),
	QFP_MBUF_DATA_OFF = offsetof(struct rte_mbuf, data_off),
	QFP_MBUF_REFCNT = offsetof(struct rte_mbuf, refcnt),
	QFP_MBUF_NB_SEGS = offsetof(struct rte_mbuf, nb_segs),
	QFP_MBUF_PKT_LEN = offsetof(struct rte_mbuf, pkt_len),
	QFP_MBUF_DATA_LEN = offsetof(struct rte_mbuf, data_len),
	QFP_MBUF_BUF_LEN = offsetof(struct rte_mbuf, buf_len),
	QFP_MBUF_SIZE = sizeof(struct rte_mbuf),
	QFP_PKTMBUF_HEADROOM = RTE_PKTMBUF_HEADROOM,
	QFP_MEMPOOL_CACHE_MAX = RTE_MEMPOOL_CACHE_MAX_SIZE,
	QFP_MAX_PORTS = RTE_MAX_ETHPORTS,
};

static const uint64_t QFP_TX_OFFLOAD_MBUF_FAST_FREE = RTE_ETH_TX_OFFLOAD_MBUF_FAST_FREE;
static const uint64_t QFP_RSS_5_TUPLE =
	RTE_ETH_RSS_IP | RTE_ETH_RSS_TCP | RTE_ETH_RSS_UDP | RTE_ETH_RSS_SCTP;
static const uint32_t QFP_MQ_RX_RSS = RTE_ETH_MQ_RX_RSS;
static const uint32_t QFP_LCORE_ID_ANY = LCORE_ID_ANY;
static const uint64_t QFP_NO_OWNER = RTE_ETH_DEV_NO_OWNER;
static const uint32_t QFP_LINK_SPEED_UNKNOWN = RTE_ETH_SPEED_NUM_UNKNOWN;

/* Thread-local values. */
int qfp_errno(void);
unsigned int qfp_lcore_id(void);

/* Takes n mbufs of mp: 0, or a negative errno and none taken. */
int qfp_mbuf_alloc_bulk(struct rte_mempool *mp, struct rte_mbuf **mbufs, unsigned int n);

/* Objects in the pool behind the lcore caches. */
unsigned int qfp_mempool_uncached_count(const struct rte_mempool *mp);

/* True, with speed in Mb/s (QFP_LINK_SPEED_UNKNOWN when unknown), when the link is up. */
bool qfp_link_is_up(uint16_t port, uint32_t *mbps);

/* What a crypto operation is about; offsets in bytes from the start of the packet. */
struct qfp_crypto_job {
	void *session;
	struct rte_mbuf *mbuf;
	/* Whether one algorithm enciphers and authenticates. */
	bool aead;
	uint8_t iv_len;
	uint8_t iv[16];
	/* What is authenticated besides; with length 0 it is read from head on, in the packet. */
	uint8_t aad_len;
	uint8_t aad[16];
	/* Where what is authenticated begins, and where the text to be enciphered does. */
	uint16_t head;
	uint16_t text;
	uint16_t text_len;
	/* Where the tag is, and where the packet ends. */
	uint16_t tag;
	uint16_t end;
};

/* Where IV and AAD lie in an operation of qfp_crypto_describe; its pool needs 32 bytes there. */
enum {
	QFP_CRYPTO_IV = sizeof(struct rte_crypto_op) + sizeof(struct rte_crypto_sym_op),
	QFP_CRYPTO_AAD = QFP_CRYPTO_IV + 16,
};

/* Takes n symmetric operations of mp: 0, or not 0 and none taken. */
int qfp_crypto_ops(struct rte_mempool *mp, struct rte_crypto_op **ops, unsigned int n);

/* Makes operations of jobs. */
void qfp_crypto_describe(struct rte_crypto_op **ops, const struct qfp_crypto_job *jobs,
			 unsigned int n);

/* Has a device process at most 64 operations and waits for them; returns how many succeeded. */
unsigned int qfp_crypto_run(uint8_t device, uint16_t queue, struct rte_crypto_op **ops,
			    unsigned int n);

/* A bit for each of at most 64 operations that succeeded. */
uint64_t qfp_crypto_succeeded(struct rte_crypto_op **ops, unsigned int n);

/* Gives operations back to their pool. */
void qfp_crypto_ops_free(struct rte_crypto_op **ops, unsigned int n);

#endif
