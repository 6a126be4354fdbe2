// Where a running instance is, and the token that it asks for.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Instance is a broker's address and the file with the caller's token.
type Instance struct {
	Endpoint  string
	TokenFile string
}

// usageError is a mistake of the caller; notRunning says that nothing is there to connect to.
type usageError struct{ error }

var errNotRunning = errors.New("is not running")

// findInstance reads run.json of a data folder, as every command of trueframe does; endpoint and tokenFile outrank it.
func findInstance(data, endpoint, tokenFile string) (Instance, error) {
	found := Instance{Endpoint: endpoint, TokenFile: tokenFile}
	if found.Endpoint != "" && found.TokenFile != "" {
		return found, nil
	}
	path := filepath.Join(data, "run", "run.json")
	text, err := os.ReadFile(path)
	if err != nil {
		return found, fmt.Errorf("trueframe %w on data folder %s: start it with `trueframe up --data %s`, "+
			"or give -endpoint and -token-file", errNotRunning, data, data)
	}
	var run struct {
		Endpoints map[string]string `json:"endpoints"`
		TokenFile string            `json:"token_file"`
	}
	if err := json.Unmarshal(text, &run); err != nil {
		return found, fmt.Errorf("%s is not readable (%v): is trueframe still starting?", path, err)
	}
	if found.Endpoint == "" {
		found.Endpoint = run.Endpoints["broker"]
	}
	if found.TokenFile == "" {
		found.TokenFile = run.TokenFile
	}
	if found.Endpoint == "" || found.TokenFile == "" {
		return found, fmt.Errorf("%s names no broker or no token file: is it of another version?", path)
	}
	return found, nil
}

// bearer reads the token at each call: tokens are renewed once a day, and a connection may live longer.
type bearer struct{ file string }

func (b bearer) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	text, err := os.ReadFile(b.file)
	if err != nil {
		return nil, fmt.Errorf("token file %s cannot be read: %w", b.file, err)
	}
	return map[string]string{"authorization": "Bearer " + strings.TrimSpace(string(text))}, nil
}

// RequireTransportSecurity is false: a Unix socket is guarded by its folder, and TCP is meant for 127.0.0.1.
func (bearer) RequireTransportSecurity() bool { return false }
