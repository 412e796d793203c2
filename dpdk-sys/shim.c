#include <string.h>

#include "shim.h"

int qfp_errno(void)
{
	return rte_errno;
}

unsigned int qfp_lcore_id(void)
{
	return rte_lcore_id();
}

int qfp_mbuf_alloc_bulk(struct rte_mempool *mp, struct rte_mbuf **mbufs, unsigned int n)
{
	return rte_pktmbuf_alloc_bulk(mp, mbufs, n);
}

unsigned int qfp_mempool_uncached_count(const struct rte_mempool *mp)
{
	return rte_mempool_get_ops(mp->ops_index)->get_count(mp);
}

bool qfp_link_is_up(uint16_t port, uint32_t *mbps)
{
	struct rte_eth_link link = {0};

	if (rte_eth_link_get_nowait(port, &link) != 0 || link.link_status != RTE_ETH_LINK_UP)
		return false;
	*mbps = link.link_speed;
	return true;
}

int qfp_crypto_ops(struct rte_mempool *mp, struct rte_crypto_op **ops, unsigned int n)
{
	return rte_crypto_op_bulk_alloc(mp, RTE_CRYPTO_OP_TYPE_SYMMETRIC, ops, (uint16_t)n) == 0;
}

void qfp_crypto_describe(struct rte_crypto_op **ops, const struct qfp_crypto_job *jobs,
			 unsigned int n)
{
	for (unsigned int i = 0; i < n; i++) {
		const struct qfp_crypto_job *job = &jobs[i];
		struct rte_crypto_sym_op *sym = ops[i]->sym;
		uint8_t *head = rte_pktmbuf_mtod_offset(job->mbuf, uint8_t *, job->head);
		uint8_t *tag = rte_pktmbuf_mtod_offset(job->mbuf, uint8_t *, job->tag);

		ops[i]->status = RTE_CRYPTO_OP_STATUS_NOT_PROCESSED;
		rte_crypto_op_attach_sym_session(ops[i], job->session);
		memcpy(rte_crypto_op_ctod_offset(ops[i], uint8_t *, QFP_CRYPTO_IV), job->iv,
		       job->iv_len);
		job->mbuf->data_len = job->end;
		job->mbuf->pkt_len = job->end;
		sym->m_src = job->mbuf;
		sym->m_dst = NULL;
		if (job->aead) {
			sym->aead.data.offset = job->text;
			sym->aead.data.length = job->text_len;
			if (job->aad_len > 0) {
				head = rte_crypto_op_ctod_offset(ops[i], uint8_t *, QFP_CRYPTO_AAD);
				memcpy(head, job->aad, sizeof(job->aad));
			}
			sym->aead.aad.data = head;
			sym->aead.digest.data = tag;
		} else {
			sym->cipher.data.offset = job->text;
			sym->cipher.data.length = job->text_len;
			sym->auth.data.offset = job->head;
			sym->auth.data.length = (uint32_t)(job->text - job->head) + job->text_len;
			sym->auth.digest.data = tag;
		}
	}
}

unsigned int qfp_crypto_run(uint8_t device, uint16_t queue, struct rte_crypto_op **ops,
			    unsigned int n)
{
	unsigned int sent = 0, back = 0, good = 0;

	while (back < n) {
		struct rte_crypto_op *done[64];
		uint16_t count;

		sent += rte_cryptodev_enqueue_burst(device, queue, ops + sent,
						    (uint16_t)(n - sent));
		count = rte_cryptodev_dequeue_burst(device, queue, done, 64);
		for (uint16_t i = 0; i < count; i++)
			good += done[i]->status == RTE_CRYPTO_OP_STATUS_SUCCESS;
		back += count;
	}
	return good;
}

uint64_t qfp_crypto_succeeded(struct rte_crypto_op **ops, unsigned int n)
{
	uint64_t good = 0;

	for (unsigned int i = 0; i < n; i++)
		good |= (uint64_t)(ops[i]->status == RTE_CRYPTO_OP_STATUS_SUCCESS) << i;
	return good;
}

void qfp_crypto_ops_free(struct rte_crypto_op **ops, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++)
		rte_crypto_op_free(ops[i]);
}
