//! What an access list and a policy add to a walk together, as a share of what each of them adds
//! alone (ING-05).

use contest::{BenchError, Spread};

use super::{Rig, lists};

const ROUNDS: usize = 7;
/// Packets of a round.
const PACKETS: u64 = 1 << 21;

/// Lets the cases take turns, so that the machine's moods meet all of them alike.
pub(super) fn run() -> Result<(), BenchError> {
    let rig = |name: &str| {
        let case = lists::cases().into_iter().find(|case| case.name == name);
        let case = case.ok_or_else(|| format!("there is no case {name}"))?;
        Ok::<_, BenchError>(Rig::new(&mut (case.make)(), 64))
    };
    let names = ["bound-none", "full-acl1", "bound-qos", "bound-acl-qos"];
    let [mut none, mut list, mut policy, mut both] = {
        let [none, list, policy, both] = names.map(rig);
        [none?, list?, policy?, both?]
    };
    let mut shares = Vec::new();
    for round in 0..=ROUNDS {
        let [none, list, policy, both] =
            [&mut none, &mut list, &mut policy, &mut both].map(|rig| rig.run(PACKETS));
        // The first warms caches and predictors.
        if round > 0 {
            println!(
                "nothing {none:.1}, list {list:.1}, policy {policy:.1}, both {both:.1} cycles"
            );
            shares.push((both - none) / (list + policy - 2.0 * none));
        }
    }
    let Spread { median, low, high } = Spread::of(shares);
    println!("both add {median:.2} ({low:.2} to {high:.2}) of what they add each alone");
    Ok(())
}
