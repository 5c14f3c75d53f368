package damocles

import "fmt"

// miners checks the sections of the miners against each other and in themselves.
func (c *configCheck) miners(root *tomlNode) {
	first := map[uint64]int{}
	for i, m := range root.tables("Miners") {
		key := fmt.Sprintf("Miners[%d]", i)
		actor := m.find("Actor")
		if actor == nil {
			c.tell(m.line, key+".Actor", "it is not set: the section belongs to no miner", "write Actor = 1000 with the miner's number, or take the section out")
		} else if id, err := actor.natural(); err == nil {
			if line, taken := first[id]; taken {
				c.tell(actor.line, key+".Actor", fmt.Sprintf("the section on line %d is of the miner %d, too, and damocles-manager reads the first alone", line, id),
					"put the two sections into one")
			} else {
				first[id] = actor.line
			}
		}
		c.numbers(m.find("Sector"), key+".Sector")
	}
}

// numbers checks that there are numbers for new sectors.
func (c *configCheck) numbers(sector *tomlNode, key string) {
	bound := sector.find("MaxNumber")
	if bound == nil {
		return
	}
	floor, name := sector.find("MinNumber"), "MinNumber"
	if floor == nil {
		floor, name = sector.find("InitNumber"), "InitNumber"
	}
	if floor == nil {
		return
	}
	least, err := floor.natural()
	most, err2 := bound.natural()
	if err != nil || err2 != nil {
		return
	}
	line := max(floor.line, bound.line)
	if least > most { // some stop sealing so
		c.tell(line, key+".MaxNumber", fmt.Sprintf("it is %d, below %s, which is %d: new sectors get no numbers", most, name, least), "raise MaxNumber, if there should be new sectors")
	} else if least == most {
		c.tell(line, key+".MaxNumber", fmt.Sprintf("it is %s itself, %d: new sectors get numbers above that, so none is left", name, least), "raise MaxNumber")
	}
}
