//! What many samples say.

/// A median with the tenth and the ninetieth percentile.
#[derive(Clone, Copy, Debug, Default)]
pub struct Spread {
    /// Half of the samples are below it.
    pub median: f64,
    /// A tenth of them is.
    pub low: f64,
    /// Nine tenths of them are.
    pub high: f64,
}

impl Spread {
    /// Samples that are no numbers do not count; without any, all are NaN.
    pub fn of(samples: impl IntoIterator<Item = f64>) -> Self {
        let mut samples: Vec<f64> = samples.into_iter().filter(|x| x.is_finite()).collect();
        samples.sort_by(f64::total_cmp);
        let at = |tenths: usize| {
            let place = (samples.len() * tenths / 10).min(samples.len().saturating_sub(1));
            samples.get(place).copied().unwrap_or(f64::NAN)
        };
        Self { median: at(5), low: at(1), high: at(9) }
    }
}
