#include <string.h>

#include "peers.h"

void qfp_lpm_lookup_bulk(const struct rte_lpm *lpm, const uint32_t *ips, uint32_t *next_hops,
			 unsigned int n, uint32_t miss)
{
	rte_lpm_lookup_bulk(lpm, ips, next_hops, n);
	for (unsigned int i = 0; i < n; i++)
		next_hops[i] = (next_hops[i] & RTE_LPM_LOOKUP_SUCCESS) ?
			(next_hops[i] & ~RTE_LPM_VALID_EXT_ENTRY_BITMASK) : miss;
}

void qfp_lpm_lookup_x4(const struct rte_lpm *lpm, const uint32_t *ips, uint32_t *next_hops,
		       unsigned int n, uint32_t miss)
{
	for (unsigned int i = 0; i + 4 <= n; i += 4) {
		xmm_t four;

		memcpy(&four, ips + i, sizeof(four));
		rte_lpm_lookupx4(lpm, four, next_hops + i, miss);
	}
}

#define QFP_METER(kind, mode, call)                                                               \
	void qfp_meter_##kind##_##mode(struct rte_meter_##kind *m,                                \
				       struct rte_meter_##kind##_profile *p, uint64_t time,       \
				       const uint32_t *meter, const uint32_t *len,                \
				       uint8_t *colours, unsigned int n)                          \
	{                                                                                         \
		for (unsigned int i = 0; i < n; i++)                                              \
			colours[i] = (uint8_t)(call);                                             \
	}

QFP_METER(srtcm, blind, rte_meter_srtcm_color_blind_check(&m[meter[i]], p, time, len[i]))
QFP_METER(srtcm, aware,
	  rte_meter_srtcm_color_aware_check(&m[meter[i]], p, time, len[i],
					    (enum rte_color)colours[i]))
QFP_METER(trtcm, blind, rte_meter_trtcm_color_blind_check(&m[meter[i]], p, time, len[i]))
QFP_METER(trtcm, aware,
	  rte_meter_trtcm_color_aware_check(&m[meter[i]], p, time, len[i],
					    (enum rte_color)colours[i]))
