package damocles

import "slices"

// minerSchema is one of [[Miners]].
func minerSchema() []configKey {
	return []configKey{
		{name: "Actor", kind: kindActor, value: `0`, example: `1000`, text: "the miner's number, without f0"},
		{name: "Sector", kind: kindTable, keys: minerSectorSchema(), text: "its new sectors"},
		{name: "SnapUp", kind: kindTable, keys: snapUpSchema(), text: "upgrades of sectors without deals"},
		{name: "Commitment", kind: kindTable, text: "its messages", keys: []configKey{
			{name: "Confidence", kind: kindInt, value: `10`, text: "epochs after which a message counts as landed"},
			{name: "Pre", kind: kindTable, keys: policySchema(`16`), text: "PreCommit messages"},
			{name: "Prove", kind: kindTable, keys: policySchema(`16`), text: "ProveCommit messages"},
			{name: "Terminate", kind: kindTable, keys: policySchema(`5`), text: "TerminateSectors messages"},
		}},
		{name: "PoSt", kind: kindTable, keys: postSchema(), text: "Window PoSt"},
		{name: "Proof", kind: kindTable, text: "Winning PoSt", keys: []configKey{
			{name: "Enabled", kind: kindBool, value: `false`},
		}},
		{name: "Sealing", kind: kindTable, keys: sealingSchema()},
		{name: "Deal", kind: kindTable, gone: "deals are allowed by EnableDeals in [Miners.Sector]"},
	}
}

func minerSectorSchema() []configKey {
	return []configKey{
		{name: "InitNumber", kind: kindUint, value: `0`, text: "older form of MinNumber"},
		{name: "MinNumber", kind: kindUint, example: `10`, text: "new sectors get numbers above it"},
		{name: "MaxNumber", kind: kindUint, example: `1000000`, text: "and up to it; default: no bound"},
		{name: "Enabled", kind: kindBool, value: `true`, text: "new sectors are sealed"},
		{name: "EnableDeals", kind: kindBool, value: `false`, text: "deals are put into them"},
		{name: "LifetimeDays", kind: kindUint, value: `540`, text: "of sectors without deals"},
		{name: "Verbose", kind: kindBool, value: `false`, text: "logs more"},
	}
}

func snapUpSchema() []configKey {
	const wait = `"3m0s"`
	return slices.Concat([]configKey{
		{name: "Enabled", kind: kindBool, value: `false`},
	}, senderSchema(), fundSchema(), feeSchema(), []configKey{
		{name: "CleanupCCData", kind: kindBool, value: `true`, text: "removes the old sealed file after an upgrade"},
		{name: "MessageConfidential", kind: kindInt, old: true},
		{name: "ReleaseCondidential", kind: kindInt, old: true},
		{name: "MessageConfidence", kind: kindInt, value: `15`, text: "epochs after which a message counts as landed"},
		{name: "ReleaseConfidence", kind: kindInt, value: `30`, text: "epochs after which the old files are released"},
		{name: "Retry", kind: kindTable, keys: []configKey{
			{name: "MaxAttempts", kind: kindInt, example: `10`, text: "default: no bound"},
			{name: "PollInterval", kind: kindDuration, value: wait, text: "between two looks at a message"},
			{name: "APIFailureWait", kind: kindDuration, value: wait, text: "after an error of a node"},
			{name: "LocalFailureWait", kind: kindDuration, value: wait, text: "after an error of a disk or the database"},
		}},
	})
}

// policySchema is how a kind of message is sent, alone or in batches of at
// least threshold.
func policySchema(threshold string) []configKey {
	batch := slices.Concat([]configKey{
		{name: "BatchCommitAboveBaseFee", kind: kindFIL, value: `"0"`, text: "batches are made where the base fee is above it; 0 for never"},
		{name: "Enabled", kind: kindBool, gone: "batches are made where the base fee is above BatchCommitAboveBaseFee"},
		{name: "Threshold", kind: kindInt, value: threshold, text: "sectors that make a batch"},
		{name: "MaxWait", kind: kindDuration, value: `"1h0m0s"`, text: "for a batch to fill"},
		{name: "CheckInterval", kind: kindDuration, value: `"1m0s"`, text: "between two looks"},
	}, feeSchema())
	return slices.Concat(senderSchema(), fundSchema(), feeSchema(), []configKey{
		{name: "Batch", kind: kindTable, keys: batch},
	})
}

func senderSchema() []configKey {
	return []configKey{
		{name: "Sender", kind: kindAddress, old: true},
		{name: "Senders", kind: kindAddresses, example: `["f0101"]`, text: "addresses to send from; the one with the most funds is taken"},
	}
}

func fundSchema() []configKey {
	return []configKey{
		{name: "SendFund", kind: kindBool, value: `true`, text: "the sender pays the deposit; false: the miner does"},
	}
}

func feeSchema() []configKey {
	return []configKey{
		{name: "GasOverEstimation", kind: kindFloat, value: `1.2`, text: "factor on the estimated gas"},
		{name: "GasOverPremium", kind: kindFloat, value: `0.0`, text: "factor on the estimated premium; 0 for none"},
		{name: "GasFeeCap", kind: kindFIL, value: `"5 nanoFIL"`, text: "for a unit of gas; write the unit, a bare number is in FIL"},
		{name: "MaxFeeCap", kind: kindFIL, example: `""`, text: "older name of GasFeeCap; counts only where that is 0"},
	}
}

func postSchema() []configKey {
	return slices.Concat(senderSchema(), []configKey{
		{name: "Enabled", kind: kindBool, value: `true`},
		{name: "StrictCheck", kind: kindBool, value: `true`, text: "reads parts of the files before a proof, too"},
		{name: "Parallel", kind: kindBool, value: `false`, text: "proves the partitions of a deadline at once"},
	}, feeSchema(), []configKey{
		{name: "Confidence", kind: kindUint, value: `10`, text: "epochs after which a message counts as landed"},
		{name: "SubmitConfidence", kind: kindUint, value: `0`, text: "epochs to wait before a proof is sent; 0 for 4"},
		{name: "ChallengeConfidence", kind: kindUint, value: `0`, text: "epochs to wait before a proof is begun; 0 for 10"},
		{name: "MaxRecoverSectorLimit", kind: kindUint, value: `0`, text: "sectors recovered at once; 0 for no bound"},
		{name: "MaxPartitionsPerPoStMessage", kind: kindUint, value: `0`, text: "0 for as many as the network allows"},
		{name: "MaxPartitionsPerRecoveryMessage", kind: kindUint, value: `0`, text: "0 for no bound"},
	})
}

func sealingSchema() []configKey {
	return []configKey{
		{name: "SealingEpochDuration", kind: kindInt, value: `0`, text: "epochs that sealing takes: deals that start sooner are not taken"},
		{name: "UseSyntheticPoRep", kind: kindBool, value: `false`},
		{name: "RequireActivationSuccess", kind: kindBool, value: `false`, text: "a batch fails with one of its sectors"},
		{name: "RequireActivationSuccessUpdate", kind: kindBool, value: `false`, text: "the same for upgrades"},
		{name: "RequireNotificationSuccess", kind: kindBool, value: `false`, text: "a message fails with a notification of its pieces"},
		{name: "RequireNotificationSuccessUpdate", kind: kindBool, value: `false`, text: "the same for upgrades"},
	}
}
