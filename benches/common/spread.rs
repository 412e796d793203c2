//! What many samples say.

/// A median with the tenth and the ninetieth percentile.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) low: f64,
    pub(crate) high: f64,
}

impl Spread {
    /// Samples that are no numbers do not count; without any, all are NaN.
    pub(crate) fn of(samples: impl IntoIterator<Item = f64>) -> Self {
        let mut samples: Vec<f64> = samples.into_iter().filter(|x| x.is_finite()).collect();
        samples.sort_by(f64::total_cmp);
        let at = |tenths: usize| {
            let place = (samples.len() * tenths / 10).min(samples.len().saturating_sub(1));
            samples.get(place).copied().unwrap_or(f64::NAN)
        };
        Self { median: at(5), low: at(1), high: at(9) }
    }
}
