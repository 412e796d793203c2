/* Libraries that benches measure against: their headers, and their static inline functions in bulk
 * form. */
#ifndef QFP_DPDK_PEERS_H
#define QFP_DPDK_PEERS_H

#include "shim.h"

#include <rte_acl.h>
#include <rte_fib.h>
#include <rte_fib6.h>
#include <rte_lpm.h>
#include <rte_lpm6.h>
#include <rte_meter.h>
#include <rte_sched.h>

/* Longest match for n addresses (host order); missing ones give next_hops[i] = miss. */
void qfp_lpm_lookup_bulk(const struct rte_lpm *lpm, const uint32_t *ips, uint32_t *next_hops,
			 unsigned int n, uint32_t miss);
/* The same in groups of four with SIMD; n is rounded down to a multiple of four. */
void qfp_lpm_lookup_x4(const struct rte_lpm *lpm, const uint32_t *ips, uint32_t *next_hops,
		       unsigned int n, uint32_t miss);

/* Meters packet i of len[i] bytes with m[meter[i]]; colours (enum rte_color) in and out. */
void qfp_meter_srtcm_blind(struct rte_meter_srtcm *m, struct rte_meter_srtcm_profile *p,
			   uint64_t time, const uint32_t *meter, const uint32_t *len,
			   uint8_t *colours, unsigned int n);
void qfp_meter_srtcm_aware(struct rte_meter_srtcm *m, struct rte_meter_srtcm_profile *p,
			   uint64_t time, const uint32_t *meter, const uint32_t *len,
			   uint8_t *colours, unsigned int n);
void qfp_meter_trtcm_blind(struct rte_meter_trtcm *m, struct rte_meter_trtcm_profile *p,
			   uint64_t time, const uint32_t *meter, const uint32_t *len,
			   uint8_t *colours, unsigned int n);
void qfp_meter_trtcm_aware(struct rte_meter_trtcm *m, struct rte_meter_trtcm_profile *p,
			   uint64_t time, const uint32_t *meter, const uint32_t *len,
			   uint8_t *colours, unsigned int n);

#endif
