// Command bench makes the data of the figures in docs/benchmarks.md: lotus-miner
// repos of any number of sectors, and a stand-in of a lotus-miner that takes its
// time for every call. It is not part of the product.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/filecoin-project/go-state-types/abi"
	"github.com/syndtr/goleveldb/leveldb"
	"github.com/syndtr/goleveldb/leveldb/opt"

	"damocles-manager/internal/lotus"
)

// startState is what the sectors of a home are made of.
const startState = "testdata/fixtures/damocles-states/100-offline-cc.json"

func main() {
	log.SetFlags(0)
	sectors := flag.Int("sectors", 1000, "how many sectors")
	size := flag.Int("size", 0, "bytes of a record at least, 0 leaving them as the fixtures are, 1.5 KB; with -engine, of every replica")
	fixtures := flag.String("fixtures", "testdata/fixtures/lotus-sectorinfo", "records to start from")
	repo := flag.String("repo", "", "make this lotus-miner repo")
	home := flag.String("home", "", "make this damocles home, with its sectors' files in the stores that the arguments name")
	serve := flag.String("serve", "", "serve the sectors at this address")
	latency := flag.Duration("latency", 2*time.Millisecond, "what a served call takes")
	against := flag.String("compare", "", "run the commands that the arguments give as name=command in turn, and print the figures under this title")
	original := flag.Bool("original", false, "copy one directory to another as the original damocles-manager does")
	mode := flag.String("engine", "", "copy or move the sectors of one store to another with the file engine alone")
	verify := flag.String("verify", "", "how the engine verifies: size or hash")
	capacity := flag.String("limits", "", "print what this machine can do, with a file in this directory")
	proofs := flag.String("post", "", "figures of the proof check: hashes (against multiplications), zeros DIR (make sectors of 32 GiB there), window DIR (check one of them)")
	name := flag.String("measure", "", "run the command after -- and print the figures under this name")
	runs := flag.Int("runs", 3, "how often")
	daemon := flag.String("daemon", "", "run the command after --, a daemon at this address, and have it list its sectors")
	reset := flag.String("reset", "", "a shell command that puts things back before each run, not timed")
	flag.Parse()
	var err error
	switch {
	case *name != "":
		err = measure(*name, *runs, *sectors, resetting(*reset), flag.Args())
	case *daemon != "":
		err = serveList(*daemon, *runs, *sectors, flag.Args())
	case *against != "":
		err = compare(*against, *runs, resetting(*reset), flag.Args())
	case *original && flag.NArg() == 2:
		err = copyOriginally(flag.Arg(0), flag.Arg(1))
	case *mode != "" && flag.NArg() == 2:
		err = runEngine(*mode, *verify, int64(*size), flag.Arg(0), flag.Arg(1))
	case *proofs != "":
		err = proofFigures(*proofs, flag.Arg(0), *runs, *sectors)
	case *capacity != "":
		err = limits(*capacity)
	case *repo != "":
		err = makeRepo(*repo, *fixtures, *sectors, *size)
	case *home != "":
		err = makeHome(*home, startState, *sectors, flag.Args())
	case *serve != "":
		err = serveMiner(*serve, *sectors, *latency)
	default:
		err = errors.New("give one of -repo, -home, -serve, -engine, -original, -limits, -post, -measure, -daemon and -compare")
	}
	if err != nil {
		log.Fatal(err)
	}
}

// templates are the fixture's sectors that a switch carries: CC, deals of both
// kinds, upgraded ones.
func templates(dir string, size int) ([]*lotus.SectorInfo, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*-Proving.cbor"))
	if err != nil || len(files) == 0 {
		return nil, fmt.Errorf("no records in %s: %w", dir, err)
	}
	var out []*lotus.SectorInfo
	for _, f := range files {
		raw, err := os.ReadFile(f)
		if err != nil {
			return nil, err
		}
		info, err := lotus.Decode(raw)
		if err != nil {
			return nil, err
		}
		for len(raw) < size { // a long history is what makes records large
			info.Log = append(info.Log, lotus.Log{Kind: "event;sealing.SectorRetry", Timestamp: 1690000200, Message: strings.Repeat("x", 80)})
			if raw, err = lotus.Encode(info); err != nil {
				return nil, err
			}
		}
		out = append(out, info)
	}
	return out, nil
}

func makeRepo(dir, fixtures string, sectors, size int) error {
	var infos []*lotus.SectorInfo
	if sectors > 0 {
		var err error
		if infos, err = templates(fixtures, size); err != nil {
			return err
		}
	}
	path := filepath.Join(dir, "datastore", "metadata")
	if err := os.MkdirAll(path, 0o755); err != nil {
		return err
	}
	db, err := leveldb.OpenFile(path, &opt.Options{Compression: opt.NoCompression, Strict: opt.StrictAll})
	if err != nil {
		return err
	}
	batch := new(leveldb.Batch)
	batch.Put([]byte("/miner-address"), []byte{0x00, 0xe8, 0x07})
	keys := make([]string, sectors)
	for i := range keys {
		keys[i] = strconv.Itoa(i)
	}
	slices.Sort(keys)
	for i, key := range keys {
		info := *infos[i%len(infos)]
		n, err := strconv.ParseUint(key, 10, 63)
		if err != nil {
			return err
		}
		info.SectorNumber = abi.SectorNumber(n)
		info.TicketValue = fmt.Appendf(make([]byte, 0, 32), "%032d", n)
		raw, err := lotus.Encode(&info)
		if err != nil {
			return err
		}
		batch.Put([]byte("/sectors/"+key), raw)
		if batch.Len() >= 1000 {
			if err := db.Write(batch, nil); err != nil {
				return err
			}
			batch.Reset()
		}
	}
	if err := db.Write(batch, &opt.WriteOptions{Sync: true}); err != nil {
		return err
	}
	return db.Close()
}

func serveMiner(addr string, sectors int, latency time.Duration) error {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	fmt.Println(l.Addr())
	list := make([]int, sectors)
	for i := range list {
		list[i] = i
	}
	cid := map[string]string{"/": "baga6ea4seaqpy7usqklokfx2vxuynmupslkeutzexe2uqurdg5vhtebhxqmpqmy"}
	handle := func(w http.ResponseWriter, r *http.Request) {
		var req struct {
			ID     any
			Method string
			Params []json.RawMessage
		}
		if err := json.NewDecoder(r.Body).Decode(&req); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		time.Sleep(latency)
		var result any
		switch req.Method {
		case "Filecoin.ActorAddress":
			result = "f01000"
		case "Filecoin.SectorsList":
			result = list
		case "Filecoin.SectorNumAssignerMeta":
			result = map[string]any{"Reserved": []int{0}, "Allocated": []int{0, sectors}, "InUse": []int{0, sectors}, "Next": sectors}
		case "Filecoin.SectorsStatus":
			result = map[string]any{
				"SectorID": req.Params[0], "State": "Proving", "CommD": cid, "SealProof": 5,
				"CommR":  map[string]string{"/": "bagboea4b5abcans42hjmxwku6psfkpcce43fa4jde43rqagypp5ukjbfjdfibzan"},
				"Proof":  "AQID",
				"Pieces": []any{map[string]any{"Piece": map[string]any{"Size": 2048, "PieceCID": cid}, "DealInfo": nil}},
				"Ticket": map[string]any{"Value": "AQID", "Epoch": 4000}, "Seed": map[string]any{"Value": "AQID", "Epoch": 4200},
			}
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"jsonrpc": "2.0", "id": req.ID, "result": result})
	}
	return (&http.Server{Handler: http.HandlerFunc(handle), ReadHeaderTimeout: time.Minute}).Serve(l)
}
