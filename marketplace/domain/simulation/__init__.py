"""A market of workers that cheat, on the real rules of `marketplace.domain` and a virtual clock.

Pure like the rest of the domain: the random generator, the policy and the measured rates of detection are passed in.
"""
