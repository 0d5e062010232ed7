package portside

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"

	"portside/discovery/etcd"
	"portside/pool"
)

// The rules of the house, as tests. Imports run one way,
// cmd → proxy → pool → discovery, and etcd's client has one importer.

type goPackage struct {
	ImportPath string
	Imports    []string
}

func packages(t *testing.T) (all []goPackage) {
	t.Helper()
	out, err := exec.Command("go", "list", "-json=ImportPath,Imports", "./...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p goPackage
		err := dec.Decode(&p)
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}

func TestImportsRunOneWay(t *testing.T) {
	never := []struct{ from, to, why string }{
		{"portside/discovery", "portside/pool", "discovery knows nobody"},
		{"portside/discovery", "portside/proxy", "discovery knows nobody"},
		{"portside/pool", "portside/proxy", "a pool does not know who draws on it"},
		{"portside/pool", "portside/discovery/", "a pool knows endpoints, not where they come from"},
		{"portside/proxy", "portside/discovery", "a proxy knows its pool alone"},
		{"portside/proxy/relay", "portside/pool", "the copy loop knows bytes alone"},
		{"portside/proxy/socket", "portside/", "a socket knows system calls alone"},
		{"portside/proxy/parking", "portside/", "who watches over connections knows nothing of them"},
		{"portside/proxy/http1", "portside/pool", "messages know no policy"},
		{"portside/proxy/http2", "portside/pool", "frames know no policy"},
		{"portside/proxy/grpc", "portside/pool", "a status is not what it means for a backend"},
		{"portside/discovery/record", "portside/discovery/etcd", "records are text, wherever they were found"},
		{"portside/bench", "portside/", "bench measures from outside, through sockets"},
	}
	for _, p := range packages(t) {
		for _, imp := range p.Imports {
			for _, n := range never {
				if within(p.ImportPath, n.from) && within(imp, n.to) && !within(imp, n.from) {
					t.Errorf("%s imports %s: %s", p.ImportPath, imp, n.why)
				}
			}
			if strings.HasPrefix(imp, "portside/cmd/") && !within(p.ImportPath, "portside/cmd/portside") {
				t.Errorf("%s imports %s: cmd is imported by nobody", p.ImportPath, imp)
			}
			if strings.HasPrefix(imp, "go.etcd.io/etcd/client/") && !within(p.ImportPath, "portside/discovery/etcd") {
				t.Errorf("%s imports %s: discovery/etcd is the only importer of etcd's client", p.ImportPath, imp)
			}
		}
	}
}

// within reports whether path is the package, or below it; below it only, when
// pkg ends in a slash.
func within(path, pkg string) bool {
	if strings.HasSuffix(pkg, "/") {
		return strings.HasPrefix(path, pkg)
	}
	return path == pkg || strings.HasPrefix(path, pkg+"/")
}

// sources are the parsed non-test files.
func sources(t *testing.T) map[string]*ast.File {
	t.Helper()
	files := map[string]*ast.File{}
	fset := token.NewFileSet()
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		f, err := parser.ParseFile(fset, path, nil, parser.ParseComments)
		files[path] = f
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func TestEveryPackageSaysWhatItIs(t *testing.T) {
	comments := map[string]int{}
	for path, f := range sources(t) {
		dir := filepath.Dir(path)
		if _, seen := comments[dir]; !seen {
			comments[dir] = 0
		}
		if f.Doc != nil {
			comments[dir]++
		}
	}
	for dir, n := range comments {
		if n != 1 {
			t.Errorf("%s has %d package comments, want one", dir, n)
		}
	}
}

func TestEveryExportIsDocumented(t *testing.T) {
	for path, f := range sources(t) {
		for _, d := range f.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				if d.Name.IsExported() && exportedReceiver(d) && d.Doc == nil && !wellKnown(d.Name.Name) {
					t.Errorf("%s: %s has no comment", path, d.Name.Name)
				}
			case *ast.GenDecl:
				for _, s := range d.Specs {
					if ts, ok := s.(*ast.TypeSpec); ok && ts.Name.IsExported() && d.Doc == nil && ts.Doc == nil {
						t.Errorf("%s: %s has no comment", path, ts.Name.Name)
					}
				}
			}
		}
	}
}

// wellKnown are methods whose meaning is their interface's.
func wellKnown(name string) bool {
	switch name {
	case "Error", "Unwrap", "String", "LogValue", "UnmarshalJSON", "MarshalJSON", "Describe", "Collect", "ServeHTTP",
		"Enabled", "With", "Check", "Write", "Sync", "Clone", "ClientHandshake", "Len", "Less", "Swap":
		return true
	}
	return false
}

func exportedReceiver(d *ast.FuncDecl) bool {
	if d.Recv == nil {
		return true
	}
	typ := d.Recv.List[0].Type
	if star, ok := typ.(*ast.StarExpr); ok {
		typ = star.X
	}
	id, ok := typ.(*ast.Ident)
	return ok && id.IsExported()
}

func TestNoInitAndNoSleep(t *testing.T) {
	for path, f := range sources(t) {
		if strings.HasPrefix(path, "bench") {
			continue
		}
		ast.Inspect(f, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.FuncDecl:
				if n.Recv == nil && n.Name.Name == "init" {
					t.Errorf("%s has an init: what happens is started by main", path)
				}
			case *ast.SelectorExpr:
				if x, ok := n.X.(*ast.Ident); ok && x.Name == "time" && n.Sel.Name == "Sleep" {
					t.Errorf("%s sleeps: wait for what it waits for, and for its context", path)
				}
			}
			return true
		})
	}
}

func TestNoReplaceInGoMod(t *testing.T) {
	data, err := os.ReadFile("go.mod")
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(data, []byte("\nreplace")) {
		t.Error("go.mod replaces a module: go install would not see it")
	}
}

// Each make target the README names must exist, and each configuration in it
// must pass portside check.
func TestReadmeIsTrue(t *testing.T) {
	readme, err := words("README.md", "docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	makefile, err := os.ReadFile("Makefile")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile(`\bmake ([a-z][a-z-]*)`).FindAllSubmatch(readme, -1) {
		if !regexp.MustCompile(`(?m)^` + string(m[1]) + `:`).Match(makefile) {
			t.Errorf("README says make %s, the Makefile has no such target", m[1])
		}
	}
	bin := filepath.Join(t.TempDir(), "portside")
	if out, err := exec.Command("go", "build", "-o", bin, "./cmd/portside").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	for _, m := range regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllSubmatch(readme, -1) {
		cmd := exec.Command(bin, "check", "-c", "-")
		cmd.Stdin = bytes.NewReader(m[1])
		cmd.Env = append(os.Environ(), "ETCD_PASSWORD=x")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("a configuration in the README does not pass portside check: %v\n%s", err, out)
		}
	}
	for _, m := range regexp.MustCompile(`(?m)^\s*(?:\$ )?(?:bin/)?portside ([a-z]+)`).FindAllSubmatch(readme, -1) {
		if out, err := exec.Command(bin, string(m[1]), "--help").CombinedOutput(); err != nil {
			t.Errorf("README says portside %s: %v\n%s", m[1], err, out)
		}
	}
}

// What can be configured, measured or answered stands in the documents.
func TestDocumentsAreComplete(t *testing.T) {
	for _, c := range []struct{ doc, source, pattern, form string }{
		{"docs/configuration.md", "cmd/portside/config/*.go", `\tat\("([a-z_]+)", "`, "%s:"},
		{"docs/configuration.md", "discovery/record/format.go", `Format = "([a-z-]+)"`, "`%s`"},
		{"docs/configuration.md", "discovery/record/format.go", `\{"([a-z-]+)", `, "`%s`"},
		{"docs/observing.md", "cmd/portside/admin/metrics.go", `desc\("([a-z_]+)"`, "`portside_%s`"},
		{"docs/observing.md", "proxy/*.go", `attemptError\{"([a-z_]+)"`, "`%s`"},
		{"docs/observing.md", "proxy/*.go", `\.answer\([0-9a-zA-Z.]+, "([a-z_]+)"`, "`%s`"},
	} {
		text, err := os.ReadFile(c.doc)
		if err != nil {
			t.Fatal(err)
		}
		files, err := filepath.Glob(c.source)
		if err != nil {
			t.Fatal(err)
		}
		code, err := words(files...)
		if err != nil {
			t.Fatal(err)
		}
		found := regexp.MustCompile(c.pattern).FindAllSubmatch(code, -1)
		if len(found) == 0 {
			t.Errorf("nothing like %s in %s: this test looks in the wrong place", c.pattern, c.source)
		}
		for _, m := range found {
			if want := fmt.Sprintf(c.form, m[1]); !bytes.Contains(text, []byte(want)) {
				t.Errorf("%s does not have %s, which %s has", c.doc, want, c.source)
			}
		}
	}
}

// Nobody can alert on a reason without knowing which there are.
func TestEveryReasonOfAMetricIsDocumented(t *testing.T) {
	text, err := os.ReadFile("docs/observing.md")
	if err != nil {
		t.Fatal(err)
	}
	for metric, reasons := range map[string]map[string]uint64{
		"ejections_total":         pool.New(pool.Config{}).Status().Ejections,
		"discovery_resyncs_total": etcd.New(etcd.Config{}, nil).Source("service/x", nil).Status().Resyncs,
	} {
		row := regexp.MustCompile("(?m)^\\| `portside_" + metric + "`.*$").Find(text)
		for reason := range reasons {
			if !bytes.Contains(row, []byte("`"+reason+"`")) {
				t.Errorf("docs/observing.md has no reason %s of %s", reason, metric)
			}
		}
		if len(reasons) == 0 {
			t.Errorf("%s has no reasons: this test looks in the wrong place", metric)
		}
	}
}

// The example that shows every default shows the defaults.
func TestDocumentedDefaultsAreTheDefaults(t *testing.T) {
	doc, err := words("docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	block := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindSubmatch(doc)[1]
	cmd := exec.Command("go", "run", "./cmd/portside", "check", "--effective", "-c", "-")
	cmd.Stdin = strings.NewReader("services: {orders: {listen: 7001, protocol: http}}\nregister: {billing: {address: 10.0.0.5:8080}}\n")
	effective, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var shown, real map[string]any
	if err := errors.Join(yaml.Unmarshal(block, &shown), yaml.Unmarshal(effective, &real)); err != nil {
		t.Fatal(err)
	}
	// Examples, and what stands for itself by another word.
	delete(shown["services"].(map[string]any), "ledger")
	delete(shown["services"].(map[string]any)["orders"].(map[string]any), "default_port")
	delete(shown["register"].(map[string]any)["billing"].(map[string]any), "check")
	differ(t, "", shown, real)
}

// differ reports where shown has what real has not.
func differ(t *testing.T, at string, shown, real any) {
	in, ok := shown.(map[string]any)
	if !ok {
		if a, b := scalar(shown), scalar(real); a != b {
			t.Errorf("%s is shown as %v, and is %v", at, a, b)
		}
		return
	}
	from, _ := real.(map[string]any)
	for key, value := range in {
		got, ok := from[key]
		if _, section := value.(map[string]any); !ok && !section && (value == "off" || scalar(value) == "[]" || scalar(value) == "map[]") {
			continue // left out where it says nothing
		}
		differ(t, at+"."+key, value, got)
	}
}

// scalar is v as text, durations in one form.
func scalar(v any) string {
	text := fmt.Sprint(v)
	if d, err := time.ParseDuration(text); err == nil {
		return d.String()
	}
	return text
}

// words are the files, one behind the other.
func words(names ...string) (all []byte, err error) {
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		all = append(all, data...)
	}
	return all, nil
}
