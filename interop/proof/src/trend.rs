//! Whether a measured series grows: the slope of Theil and Sen, which outliers do not move, with
//! Sen's interval around it.

/// A slope and the interval in which it lies with 95 % confidence, per unit of time.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct Trend {
    pub slope: f64,
    pub low: f64,
    pub high: f64,
    pub median: f64,
    pub points: usize,
}

/// Fewer points say nothing.
const POINTS_MIN: usize = 10;
/// Two-sided 95 % of the normal distribution.
const Z: f64 = 1.96;

impl Trend {
    /// The trend of `(time, value)` points; None when there are too few.
    pub fn of(points: &[(f64, f64)]) -> Option<Trend> {
        let count = points.len();
        if count < POINTS_MIN {
            return None;
        }
        let mut slopes = Vec::with_capacity(count * (count - 1) / 2);
        for (index, (early, before)) in points.iter().enumerate() {
            for (late, after) in &points[index + 1..] {
                if late > early {
                    slopes.push((after - before) / (late - early));
                }
            }
        }
        slopes.sort_by(f64::total_cmp);
        let pairs = slopes.len() as f64;
        let n = count as f64;
        let spread = Z * (n * (n - 1.0) * (2.0 * n + 5.0) / 18.0).sqrt();
        let at = |index: f64| slopes.get(index.clamp(0.0, pairs - 1.0) as usize).copied();
        let values = points.iter().map(|(_, value)| *value).collect();
        Some(Trend {
            slope: at(pairs / 2.0)?,
            low: at((pairs - spread) / 2.0)?,
            high: at((pairs + spread) / 2.0)?,
            median: median(values)?,
            points: count,
        })
    }

    /// Grows beyond noise, and by more than `allowed` per unit of time.
    pub fn grows_more_than(&self, allowed: f64) -> bool {
        self.low > 0.0 && self.slope > allowed
    }
}

/// The middle value.
pub fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

/// Medians of each stretch of `length`: neighbours in time say almost the same, and would make a
/// trend look surer than it is.
pub fn thin(points: &[(f64, f64)], length: f64) -> Vec<(f64, f64)> {
    let mut thinned = Vec::new();
    let mut rest = points;
    while let Some((start, _)) = rest.first() {
        let count = rest
            .iter()
            .take_while(|(time, _)| *time < start + length)
            .count();
        let (now, later) = rest.split_at(count.max(1));
        let values = now.iter().map(|(_, value)| *value).collect();
        thinned.extend(median(values).map(|value| (start + length / 2.0, value)));
        rest = later;
    }
    thinned
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::Random;

    fn noisy(slope: f64) -> Vec<(f64, f64)> {
        let mut random = Random(42);
        (0..200)
            .map(|time| {
                let noise = random.within(0..100) as f64;
                (f64::from(time), 1000.0 + slope * f64::from(time) + noise)
            })
            .collect()
    }

    #[test]
    fn a_slope_is_found_under_noise_and_noise_is_none() {
        let steep = Trend::of(&noisy(2.0)).expect("enough points");
        assert!((1.7..2.3).contains(&steep.slope), "{steep:?}");
        assert!(steep.grows_more_than(1.0));
        assert!(!steep.grows_more_than(3.0));
        let flat = Trend::of(&noisy(0.0)).expect("enough points");
        assert!(!flat.grows_more_than(0.0), "{flat:?}");
        assert!(Trend::of(&noisy(0.0)[..5]).is_none());
    }

    #[test]
    fn outliers_do_not_move_it() {
        let mut points = noisy(0.0);
        for point in points.iter_mut().skip(150).step_by(10) {
            point.1 += 1e6;
        }
        let trend = Trend::of(&points).expect("enough points");
        assert!(trend.slope.abs() < 0.2, "{trend:?}");
    }

    #[test]
    fn thinning_takes_medians() {
        let points = [(0.0, 1.0), (1.0, 9.0), (2.0, 2.0), (6.0, 5.0)];
        assert_eq!(thin(&points, 5.0), [(2.5, 2.0), (8.5, 5.0)]);
    }
}
